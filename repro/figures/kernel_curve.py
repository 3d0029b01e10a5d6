"""Beside Table 1: mIoU against k, printed and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.config.experiment import Training
from repro.config.networks import GCN, Conv1x1, Model
from repro.figures import style
from repro.formatting import many
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from repro.figures.inputs import Material, Shown


FIGURE = FigureSpec(
    number=0,
    name="kernel_curve",
    title="mIoU against the kernel size",
    draw="kernel_curve",
    trainings=(Training(Model(Conv1x1())), *(Training(Model(GCN(k))) for k in (3, 5, 7, 9, 11, 13, 15))),
)


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


def compute(material: Material) -> Curve:
    """Return Table 1 as a curve."""
    points = tuple(_point(material, part) for part in material.shown)
    return Curve(
        material.profile.name, material.place, material.seeds, material.images, tuple(sorted(points, key=lambda p: p.k))
    )


def _point(material: Material, part: Shown) -> Point:
    from repro.paper import printed as paper
    from repro.results import intervals

    k = part.model.head.k if isinstance(part.model.head, GCN) else 1
    assert isinstance(k, int)
    draws = {record.seed: material.evidence.draws(record, "miou") for record in part.records}
    interval = intervals.contrast([(1.0, draws)])
    return Point(
        k=k,
        printed=paper.number(1, "Score", "base" if k == 1 else str(k)),
        mean=part.found.mean,
        low=100 * interval.low,
        high=100 * interval.high,
        values=part.found.values,
        diverged=len(part.found.diverged),
    )
