"""With Table 1 and Figure 3: the area of the valid receptive field against k, with the object's area."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.config.errors import FigureError
from repro.figures import TABLE1, style
from repro.formatting import many
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro.figures.inputs import Material
    from repro.results import field_areas
    from repro.results.records import Record


FIGURE = FigureSpec(0, "field_area", "Area of the valid receptive field against the kernel size", TABLE1)


LEAST = 0.001
"""Smaller p-values are written as ``p < 0.001``."""


@dataclass(frozen=True)
class Point:
    """One network: its kernel size, and by seed the mean area of its fields in pixels."""

    k: int
    seeds: tuple[int, ...]
    areas: tuple[float, ...]


@dataclass(frozen=True)
class Curve:
    """The points in the order of k; k = 1 is the baseline. Areas are in pixels."""

    profile: str
    place: str
    rule: str
    images: int
    size: tuple[int, int]
    """Height and width of the images."""
    object_area: float
    points: tuple[Point, ...]
    rank: float
    """Spearman's rank correlation of area and k over all networks and seeds."""
    p_value: float
    """Two-sided, of no correlation."""
    rank_by_seed: tuple[float, ...]
    occluder: int
    stride: int
    threshold: float


def draw(curve: Curve) -> Figure:
    """Draw the mean over seeds as a line, each seed as a dot, the objects' mean area as a level."""
    import pandas as pd

    figure, axes = style.page(2.5)
    percent = 100 / (curve.size[0] * curve.size[1])
    seeds = pd.DataFrame([{"k": p.k, "value": percent * area} for p in curve.points for area in p.areas])
    seeds["mean"] = seeds.groupby("k")["value"].transform("mean")
    style.kernel_line(axes, seeds)
    level = percent * curve.object_area
    axes.axhline(level, color=style.PRINTED, linestyle="--", linewidth=0.9, label="mean area of the objects")
    axes.legend(loc="upper left")
    count = max(len(p.seeds) for p in curve.points)
    axes.set(
        title=f"Profile {curve.profile}, {many(count, 'seed')}, {curve.images} images",
        xlabel=f"kernel size k  (1: the baseline 1 × 1)\n{_ranks(curve)}",
        ylabel="area of the field (% of the image)",
        ylim=(0, 1.3 * max(level, seeds["value"].max())),
    )
    return figure


def _ranks(curve: Curve) -> str:
    """Return the rank correlation over all networks and by seed."""
    if not math.isfinite(curve.rank):
        return "no rank correlation: all areas are equal"
    own = ", ".join(f"{rank:.2f}" for rank in curve.rank_by_seed)
    pooled = f"Spearman's rank correlation, area and k: {curve.rank:.2f} ({_chance(curve.p_value)})"
    return f"{pooled}\nby seed: {own}; dots: seeds"


def _chance(p_value: float) -> str:
    return f"p < {LEAST}" if p_value < LEAST else f"p = {p_value:.2g}"


def compute(material: Material) -> Curve:
    """Return the stored areas of valid receptive fields against k and their rank correlation with k.

    Raises:
        FigureError: a record has no stored areas, or the records differ in settings; the message names the command.
    """
    from scipy import stats

    found = {(part, record.seed): _stored(material, record) for part in material.shown for record in part.records}
    ways = {(one.settings, one.size, tuple((f.image, f.at) for f in one.fields)) for one in found.values()}
    if len(ways) > 1:
        raise FigureError(
            f"{material.figure.name}: areas were measured in {len(ways)} ways; {_measure(material)} --again"
        )
    points = []
    for part in material.shown:
        means = tuple(found[part, record.seed].mean for record in part.records)
        points.append(Point(part.k, tuple(record.seed for record in part.records), means))
    points.sort(key=lambda point: point.k)
    one = next(iter(found.values()))
    pairs = [(p.k, seed, mean) for p in points for seed, mean in zip(p.seeds, p.areas, strict=True)]
    whole = stats.spearmanr([k for k, _, _ in pairs], [mean for *_, mean in pairs])
    seeds = sorted({seed for _, seed, _ in pairs})
    by_seed = [[(k, mean) for k, own, mean in pairs if own == seed] for seed in seeds]
    return Curve(
        profile=material.profile.name,
        place=material.place,
        rule=one.settings.rule,
        images=len(one.fields),
        size=one.size,
        object_area=one.object_area,
        points=tuple(points),
        rank=float(whole.statistic),
        p_value=float(whole.pvalue),
        rank_by_seed=tuple(float(stats.spearmanr(*zip(*rows, strict=True)).statistic) for rows in by_seed),
        **{name: getattr(one.settings, name) for name in ("occluder", "stride", "threshold")},
    )


def _stored(material: Material, record: Record) -> field_areas.Areas:
    """Return a record's areas, from any origin."""
    from repro.results import field_areas

    same = [r for r in material.evidence.shelf.of(record.key) if r.seed == record.seed]
    found = next((stored for r in (record, *same) if (stored := field_areas.read(r.folder))), None)
    if found is None:
        raise FigureError(f"{material.figure.name}: {record.name} has no areas; {_measure(material)}")
    return found


def _measure(material: Material) -> str:
    return f"measure them with: repro vrf-area table1 --profile {material.profile.name} --seeds {material.seeds}"
