"""With Table 1: mIoU against k, as reported in the paper and as measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.figures import TABLE1, style
from repro.formatting import many
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro.figures.inputs import Material, Shown


FIGURE = FigureSpec(0, "kernel_curve", "mIoU against the kernel size", TABLE1)


@dataclass(frozen=True)
class Point:
    """One network; scores in points, ``low`` to ``high`` the 95 % interval (nan if there is none)."""

    k: int
    printed: float
    mean: float
    low: float
    high: float
    values: tuple[float, ...]
    diverged: int = 0
    """Number of seeds that diverged."""


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
    import pandas as pd

    figure, (upper, lower) = style.page(3.05, 2, 1, sharex=True)
    points = pd.DataFrame([vars(point) for point in curve.points])
    points = points.explode("values").astype({"values": float}).rename(columns={"values": "value"})
    style.kernel_line(upper, points.assign(mean=points["printed"]).drop_duplicates("k"), style.PRINTED, "--")
    style.kernel_line(lower, points)
    means = points.drop_duplicates("k")
    lower.vlines(means["k"], means["low"], means["high"], colors=style.GCN_COLOUR, linewidth=0.9)
    for row in means[means["diverged"] > 0].itertuples():
        lower.annotate(f"{row.diverged} diverged", (row.k, row.mean), (0, 6), textcoords="offset points",
                       ha="center", color=style.CONV)  # fmt: skip
    over = "seeds and images; dots: seeds" if curve.seeds > 1 else "images"
    upper.set(title="Paper: VOC 2012 val, ResNet-152", ylabel="mIoU, VOC (%)")
    lower.set(
        title=f"Measured: profile {curve.profile}, {many(curve.seeds, 'seed')}",
        ylabel=f"mIoU, {curve.profile} (%)",
        xlabel="kernel size k  (1: the baseline 1 × 1)\n"
        f"data, networks and scales of the panels differ;\nbars: 95 % interval over {over}",
    )
    for axes in (upper, lower):
        axes.margins(y=0.15)
    style.within(lower, least=0, most=100)
    return figure


def compute(material: Material) -> Curve:
    """Return Table 1 as a curve."""
    points = tuple(_point(material, part) for part in material.shown)
    return Curve(
        material.profile.name, material.place, material.seeds, material.images, tuple(sorted(points, key=lambda p: p.k))
    )


def _point(material: Material, part: Shown) -> Point:
    from repro.paper import printed as paper
    from repro.results import intervals

    k = part.k
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
