"""Beside Table 1 and Figure 3: the area of the valid receptive field against the kernel size, with the object's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from repro.plural import many
from repro.render.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST = 0.001
"""A smaller p-value is said to be smaller."""


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
    figure, axes = style.page(2.5)
    whole = curve.size[0] * curve.size[1]
    shares = [(p.k, [100 * area / whole for area in p.areas]) for p in curve.points]
    axes.plot([k for k, _ in shares], [fmean(own) for _, own in shares], "-", color=style.GCN_COLOUR)
    for k, own in shares:
        colour, marker = (style.BASE, "s") if k == 1 else (style.GCN_COLOUR, "o")
        axes.plot(k, fmean(own), marker, color=colour)
        axes.plot([k] * len(own), own, ".", color=colour, markersize=2, alpha=0.6)
    level = 100 * curve.object_area / whole
    axes.axhline(level, color=style.PRINTED, linestyle="--", linewidth=0.9, label="mean area of the objects")
    top = max(level, *(max(own) for _, own in shares))
    axes.set_ylim(0, 1.3 * top)
    axes.legend(loc="upper left")
    axes.set_xticks([k for k, _ in shares])
    axes.set_xlabel(f"kernel size k  (1: the baseline 1 × 1)\n{_ranks(curve)}")
    axes.set_ylabel("area of the field (% of the image)")
    seeds = max(len(p.seeds) for p in curve.points)
    style.letter(axes, f"Profile {curve.profile}, {many(seeds, 'seed')}, {curve.images} images")
    return figure


def _ranks(curve: Curve) -> str:
    """Return the rank correlation in words: all networks together, then seed by seed."""
    if not math.isfinite(curve.rank):
        return "no rank correlation: all areas are equal"
    own = ", ".join(f"{rank:.2f}" for rank in curve.rank_by_seed)
    pooled = f"Spearman's rank correlation, area and k: {curve.rank:.2f} ({_chance(curve.p_value)})"
    return f"{pooled}\nby seed: {own}; dots: seeds"


def _chance(p_value: float) -> str:
    """Return the p-value in words that need no exponent."""
    return f"p < {LEAST}" if p_value < LEAST else f"p = {p_value:.2g}"
