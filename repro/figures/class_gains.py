"""Beside Table 5: what GCN and BR add to the IoU of each class."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from repro.config.experiment import Training
from repro.config.networks import GCN, Conv1x1, Model
from repro.figures import style
from repro.formatting import many
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro.figures.inputs import Ints, Material, Seeds
    from repro.results.records import Record


MODELS = (Model(Conv1x1()), Model(GCN(15)), Model(GCN(15), refine=True))

FIGURE = FigureSpec(
    number=0,
    name="class_gains",
    title="IoU gained, class by class",
    draw="class_gains",
    trainings=tuple(Training(model) for model in MODELS),
)


@dataclass(frozen=True)
class Gain:
    """One difference of one class's IoU, in points, with its 95 % interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """One difference for every class, and last the mean of all classes."""

    family: str
    name: str
    gains: tuple[Gain, ...]


@dataclass(frozen=True)
class Gains:
    """Classes in the order of the data set; the mean after them."""

    profile: str
    place: str
    seeds: int
    images: int
    classes: tuple[str, ...]
    series: tuple[Series, ...]


def draw(shown: Gains) -> Figure:
    """Draw a row for each class, the largest gain of the first series at the top and the mean below all."""
    order = sorted(range(len(shown.classes)), key=lambda i: -shown.series[0].gains[i].estimate)
    rows = [*order, len(shown.classes)]
    names = [*shown.classes, "mean of classes"]
    figure, axes = style.page(0.95 + 0.16 * len(rows))
    apart = 0.17
    for n, series in enumerate(shown.series):
        colour, marker = style.FAMILIES[series.family], style.MARKERS[series.family]
        for y, i in enumerate(rows):
            gain, place = series.gains[i], y + (n - (len(shown.series) - 1) / 2) * 2 * apart
            axes.plot((gain.low, gain.high), (place, place), color=colour, linewidth=0.9)
            axes.plot(gain.estimate, place, marker, color=colour, label=series.name if y == 0 else None)
    axes.axvline(0, color=style.INK, linewidth=0.6)
    axes.axhline(len(rows) - 1.5, color=style.INK, linewidth=0.4)
    axes.set_yticks(range(len(rows)), [names[i].replace("_", " ") for i in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, -102), min(high, 102))
    axes.set_xlabel("IoU gained (points), 95 % interval")
    figure.legend(
        loc="outside upper right", ncols=len(shown.series), title=_title(shown), alignment="left",
        title_fontproperties={"size": style.TEXT + 0.5, "weight": "bold"},
    )  # fmt: skip
    return figure


def _title(shown: Gains) -> str:
    return f"Profile {shown.profile}, {many(shown.seeds, 'seed')}, {shown.images} images"


def compute(material: Material) -> Gains:
    """Return what each network adds to each class's IoU, and to the mean of the classes."""
    from repro.figures.inputs import draws_of, step_name

    classes = tuple(str(name) for name in material.shown[0].records[0].meta.get("classes", ()))
    width = material.evidence.counts(material.shown[0].records[0])["classes"].shape[1]
    names = classes if len(classes) == width else tuple(f"class {i}" for i in range(width))

    def split(record: Record) -> list[Ints]:
        counts = material.evidence.counts(record)["classes"]
        return [*(counts[:, i] for i in range(width)), counts.reshape(len(counts), -1)]

    found = [(part, draws_of(part, split, "miou")) for part in material.shown]
    series = tuple(
        Series(style.family(after.model), step_name(before, after), _gains(first, second))
        for (before, first), (after, second) in pairwise(found)
    )
    return Gains(
        material.profile.name, material.place, material.seeds, material.images, names, series
    )  # fmt: skip


def _gains(before: list[Seeds], after: list[Seeds]) -> tuple[Gain, ...]:
    from repro.results import intervals

    ends = [intervals.contrast([(1.0, b), (-1.0, a)]) for a, b in zip(before, after, strict=True)]
    return tuple(Gain(100 * end.estimate, 100 * end.low, 100 * end.high) for end in ends)
