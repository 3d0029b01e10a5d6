"""With Table 5: accuracy against the size of the object, for the baseline, GCN and GCN + BR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.config.errors import FigureError
from repro.figures import TABLE5, style
from repro.formatting import many
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro.figures.inputs import Ints, Material
    from repro.figures.style import Band
    from repro.results.records import Record


FIGURE = FigureSpec(0, "size_profile", "Accuracy against the size of the object", TABLE5)


@dataclass(frozen=True)
class SizeProfile:
    """Accuracies of the networks inside objects and the gain of each over the one before it."""

    profile: str
    place: str
    seeds: int
    images: int
    sizes: tuple[int, ...]
    """Smallest area of each bin in pixels; a bin ends before twice as many."""
    holding: tuple[int, ...]
    """Images with an object of each bin."""
    fewest: int
    """Least images of a bin; others are left out."""
    accuracy: tuple[Band, ...]
    gain: tuple[Band, ...]


def draw(shown: SizeProfile) -> Figure:
    """Draw accuracies and gains over the size of the object, each bin at its geometric middle."""
    heading = f"Profile {shown.profile}, {many(shown.seeds, 'seed')}"
    middles = [size * 2**0.5 for size in shown.sizes]
    figure, upper, lower = style.accuracy_and_gain(heading, "size", middles, (shown.accuracy, shown.gain))
    style.within(upper, least=0, most=100)
    ends = [*shown.sizes, 2 * shown.sizes[-1]]
    lower.set_xscale("log", base=2)
    lower.set_xticks(ends, [f"{end:,}" for end in ends])
    lower.minorticks_off()
    lower.set_xlabel("size of the object that a pixel lies in (pixels)\nbands: 95 % interval")
    return figure


FEWEST = 20
"""Least images with an object of a size, so that resampled images hold one too."""


def compute(material: Material) -> SizeProfile:
    """Return the accuracy at each size of object and the gains; records without such counts are evaluated again.

    Raises:
        FigureError: hardly any image holds an object, a record has neither sizes nor weights here, or its weights now
            give other counts.
    """
    import numpy as np

    from repro.figures.inputs import network_bands

    held = {record.name: _counts(material, record) for part in material.shown for record in part.records}
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
"""Share of the labelled pixels by which another machine's rounding may change the count of correct ones."""


def _counts(material: Material, record: Record) -> Ints:
    """Return correct and labelled pixels by size of object, (n, 21, 2); evaluate the weights if not stored."""
    from repro import data
    from repro.evaluation import trained_model
    from repro.evaluation.evaluator import background_of, evaluate_images
    from repro.figures.inputs import with_its_weights
    from repro.training.distributed import device_of

    stored = material.evidence.counts(record)
    if "size" in stored:
        return stored["size"]
    found = with_its_weights(material, record)
    if found is None:
        raise FigureError(
            f"{material.figure.name}: {record.name} is older than the counts by size, and its weights are not on this "
            f"machine; train them with: {trained_model.command(record)}"
        )
    model = trained_model.load(found, device_of(material.device))
    test = model.run.test
    dataset = data.load(test.dataset, test.split, material.data_root)
    items = ((i, *dataset.read(i)) for i in range(len(dataset)))
    counts = evaluate_images(model.predictor, items, len(model.classes), background=background_of(model.classes))
    before, now = (float(c["classes"][..., 0].sum()) for c in (stored, counts))
    if abs(now - before) > LEEWAY * counts["classes"][..., 2].sum():
        raise FigureError(
            f"{material.figure.name}: {found.folder} gives {now:,.0f} right pixels and its record says {before:,.0f}; "
            "its weights are of another training, restore them"
        )
    return counts["size"]
