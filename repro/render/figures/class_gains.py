"""Beside Table 5: what GCN adds to the IoU of each class, and what BR adds to that, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.plural import many
from repro.render.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
