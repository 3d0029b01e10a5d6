"""Beside Table 5: accuracy against the size of the object, for the baseline, GCN and GCN + BR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from repro.config.errors import FigureError
from repro.config.experiment import Training
from repro.config.networks import GCN, Conv1x1, Model
from repro.figures import style
from repro.figures.style import Band, draw_band
from repro.formatting import many
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro.figures import inputs
    from repro.figures.inputs import Ints, Material
    from repro.results.records import Record


MODELS = (Model(Conv1x1()), Model(GCN(15)), Model(GCN(15), refine=True))

FIGURE = FigureSpec(
    number=0,
    name="size_profile",
    title="Accuracy against the size of the object",
    draw="size_profile",
    trainings=tuple(Training(model) for model in MODELS),
)


@dataclass(frozen=True)
class SizeProfile:
    """Accuracies of the networks inside objects, and the differences between neighbours in their order."""

    profile: str
    place: str
    seeds: int
    images: int
    sizes: tuple[int, ...]
    """The least pixels of each bin; it ends before twice as many."""
    holding: tuple[int, ...]
    """Images that hold an object of each bin."""
    fewest: int
    """Bins that fewer images hold are left out."""
    accuracy: tuple[Band, ...]
    gain: tuple[Band, ...]


def draw(shown: SizeProfile) -> Figure:
    """Draw accuracies in the upper panel and differences in the lower one, each bin at its middle."""
    figure, (upper, lower) = style.page(3.6, 2, 1, sharex=True, height_ratios=(1.2, 1))
    middles = [size * 2**0.5 for size in shown.sizes]
    for axes, bands in ((upper, shown.accuracy), (lower, shown.gain)):
        for band in bands:
            draw_band(axes, middles, band)
        axes.legend(loc="best", borderaxespad=0.2)
    lower.axhline(0, color=style.INK, linewidth=0.6)
    style.within(upper, least=0, most=100)
    upper.set_ylabel("pixel accuracy (%)")
    lower.set_ylabel("gain (points)")
    lower.set_xscale("log", base=2)
    ends = [*shown.sizes, 2 * shown.sizes[-1]]
    lower.set_xticks(ends, [f"{end:,}" for end in ends])
    lower.minorticks_off()
    style.letter(upper, f"Profile {shown.profile}, {many(shown.seeds, 'seed')}")
    lower.set_xlabel("size of the object that a pixel lies in (pixels)\nbands: 95 % interval")
    return figure


FEWEST = 20
"""Images that must hold an object of a size: resampled images then hold one too."""


def profile_of(material: Material, counts: Callable[[Record], Ints]) -> SizeProfile:
    """Return the accuracy at each size of object, and what each network adds to the one before it.

    Args:
        material: the records.
        counts: gives a record's (n, 21, 2) right and seen, see ``records.Record``.

    Raises:
        FigureError: hardly any image holds an object.
    """
    import numpy as np

    from repro.figures.inputs import network_bands

    held = {record.name: counts(record) for part in material.shown for record in part.records}
    holding = (next(iter(held.values()))[..., 1] > 0).sum(axis=0)
    bins = [int(i) for i in np.flatnonzero(holding >= FEWEST)]
    if not bins:
        raise FigureError(f"{material.figure.name}: no size of object is in {FEWEST} test images; take more")
    accuracy, gain = network_bands(material, lambda record: [held[record.name][:, i] for i in bins])
    return SizeProfile(
        profile=material.profile.name,
        place=material.place,
        seeds=material.seeds,
        images=material.images,
        sizes=tuple(2**i for i in bins),
        holding=tuple(int(holding[i]) for i in bins),
        fewest=FEWEST,
        accuracy=accuracy,
        gain=gain,
    )


LEEWAY = 1e-3
"""Share of the labelled pixels by which another machine's rounding may move the right ones."""


def compute(material: Material, data_root: Path | None, device: str = "cpu") -> SizeProfile:
    """Return what the figure shows; records without sizes are evaluated once more with their weights.

    Raises:
        FigureError: a record has neither sizes nor weights here, or its weights now give other counts.
    """

    def counts(record: Record) -> inputs.Ints:
        stored = material.evidence.counts(record)
        return stored["size"] if "size" in stored else _measured(material, record, data_root, device)

    return profile_of(material, counts)


def _measured(material: Material, record: Record, data_root: Path | None, device: str) -> inputs.Ints:
    """Evaluate a record's weights on its test images, (n, 21, 2)."""
    from repro import data
    from repro.evaluation import trained_model
    from repro.evaluation.evaluator import background_of, evaluate_images
    from repro.figures.inputs import with_its_weights
    from repro.training.distributed import device_of

    found = with_its_weights(material, record)
    if found is None:
        raise FigureError(
            f"{material.figure.name}: {record.name} is older than the counts by size, and its weights are not on this "
            f"machine; train them with: {trained_model.command(record)}"
        )
    model = trained_model.load(found, device_of(device))
    test = model.run.test
    dataset = data.load(test.dataset, test.split, data_root)
    items = ((i, *dataset.read(i)) for i in range(len(dataset)))
    counts = evaluate_images(model.predictor, items, len(model.classes), background=background_of(model.classes))
    stored, now = (float(c[..., 0].sum()) for c in (material.evidence.counts(record)["classes"], counts["classes"]))
    if abs(now - stored) > LEEWAY * counts["classes"][..., 2].sum():
        raise FigureError(
            f"{material.figure.name}: {found.folder} gives {now:,.0f} right pixels and its record says {stored:,.0f}; "
            "its weights are of another training, restore them"
        )
    return counts["size"]
