"""With Table 5: IoU gained by GCN and BR, by class."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from repro.figures import TABLE5, style
from repro.formatting import many
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro.figures.inputs import Ints, Material, Seeds
    from repro.results.records import Record


FIGURE = FigureSpec(0, "class_gains", "IoU gained, class by class", TABLE5)


@dataclass(frozen=True)
class Gain:
    """One difference of one class's IoU, in points, with its 95 % interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """One difference for each class, followed by that of the mean of the classes."""

    family: str
    name: str
    gains: tuple[Gain, ...]


@dataclass(frozen=True)
class Gains:
    """Gains of the classes in the order of the data set, followed by those of their mean."""

    profile: str
    place: str
    seeds: int
    images: int
    classes: tuple[str, ...]
    series: tuple[Series, ...]


APART = 0.17
"""Half the distance between the marks of two differences, in rows."""


def draw(shown: Gains) -> Figure:
    """Draw a row for each class, the largest gain of the first series at the top and the mean below all."""
    import pandas as pd
    import seaborn as sns

    first = shown.series[0].gains[: len(shown.classes)]
    order = [*sorted(range(len(first)), key=lambda i: -first[i].estimate), len(first)]
    names = [*shown.classes, "mean of classes"]
    frame = pd.DataFrame(
        [
            {"network": series.name, "family": series.family, "row": row + (2 * n + 1 - len(shown.series)) * APART,
             **vars(series.gains[i])}
            for n, series in enumerate(shown.series)
            for row, i in enumerate(order)
        ]
    )  # fmt: skip
    figure, axes = style.page(0.95 + 0.16 * len(order))
    axes.hlines(frame["row"], frame["low"], frame["high"], colors=frame["family"].map(style.FAMILIES), linewidth=0.9)
    sns.scatterplot(frame, x="estimate", y="row", s=22, zorder=3, ax=axes, **style.networks(frame, "markers"))
    axes.axvline(0, color=style.INK, linewidth=0.6)
    axes.axhline(len(order) - 1.5, color=style.INK, linewidth=0.4)
    axes.set_yticks(range(len(order)), [names[i].replace("_", " ") for i in order], parse_math=False)
    low, high = axes.get_xlim()
    axes.set(
        xlabel="IoU gained (points), 95 % interval", ylabel="", xlim=(max(low, -102), min(high, 102)),
        ylim=(len(order) - 0.5, -0.5),
    )  # fmt: skip
    handles, labels = axes.get_legend_handles_labels()
    axes.get_legend().remove()
    title = f"Profile {shown.profile}, {many(shown.seeds, 'seed')}, {shown.images} images"
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), title=title, alignment="left",
                  title_fontproperties={"weight": "bold"})  # fmt: skip
    return figure


def compute(material: Material) -> Gains:
    """Return the gain of each network over the one before it, by class and for the mean of the classes."""
    from repro.figures.inputs import draws_of, step_name
    from repro.results.metrics import mean_iou

    classes = tuple(str(name) for name in material.shown[0].records[0].meta.get("classes", ()))
    width = material.evidence.counts(material.shown[0].records[0])["classes"].shape[1]
    names = classes if len(classes) == width else tuple(f"class {i}" for i in range(width))

    def split(record: Record) -> list[Ints]:
        counts = material.evidence.counts(record)["classes"]
        return [*(counts[:, i] for i in range(width)), counts.reshape(len(counts), -1)]

    found = [(part, draws_of(part, split, mean_iou)) for part in material.shown]
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
