"""Beside Table 1: mIoU against the kernel size, printed (upper panel) and measured with its interval (lower panel)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.plural import many
from repro.render.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """One network; scores in points, ``low`` to ``high`` the 95 % interval (nan where there is none)."""

    k: int
    printed: float
    mean: float
    low: float
    high: float
    values: tuple[float, ...]
    diverged: int = 0
    """Seeds that diverged: shown, never dropped."""


@dataclass(frozen=True)
class Curve:
    """The points in the order of k; k = 1 is the baseline."""

    profile: str
    place: str
    seeds: int
    images: int
    points: tuple[Point, ...]


def draw(curve: Curve) -> Figure:
    """Draw both curves over the same kernel sizes, each on its own axis: their scores are of different data."""
    figure, (upper, lower) = style.page(2.9, 2, 1, sharex=True)
    printed = [(p.k, p.printed) for p in curve.points]
    _line(upper, printed, style.PRINTED, "--")
    style.letter(upper, "Printed: VOC 2012 val, ResNet-152")
    _line(lower, [(p.k, p.mean) for p in curve.points], style.GCN_COLOUR, "-")
    for point in curve.points:
        _interval(lower, point)
    style.letter(lower, f"Measured: profile {curve.profile}, {many(curve.seeds, 'seed')}")
    over = "seeds and images; dots: seeds" if curve.seeds > 1 else "images"
    lower.set_xlabel(f"kernel size k  (1: the baseline 1 × 1)\nbars: 95 % interval over {over}")
    lower.set_xticks([p.k for p in curve.points])
    for axes in (upper, lower):
        axes.set_ylabel("mIoU (%)")
        axes.margins(y=0.15)
    style.within(lower, least=0, most=100)
    return figure


def _line(axes: Axes, points: list[tuple[int, float]], colour: str, line: str) -> None:
    ks, scores = zip(*points, strict=True)
    axes.plot(ks, scores, line, color=colour)
    for k, score in points:
        axes.plot(k, score, "s" if k == 1 else "o", color=style.BASE if k == 1 else colour)


def _interval(axes: Axes, point: Point) -> None:
    colour = style.BASE if point.k == 1 else style.GCN_COLOUR
    if point.low < point.high:
        axes.plot((point.k, point.k), (point.low, point.high), color=colour, linewidth=0.9)
    axes.plot([point.k] * len(point.values), point.values, ".", color=colour, markersize=2, alpha=0.6)
    if point.diverged:
        axes.annotate(f"{point.diverged} diverged", (point.k, point.mean), (0, 6), textcoords="offset points",
                      ha="center", color=style.CONV)  # fmt: skip
