"""Beside Table 5: accuracy against the distance to the boundary, and what each network adds to the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.plural import many
from repro.render.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Line = tuple[float, ...]
SPACING = 4
"""Distances from one marker of a line to the next."""


@dataclass(frozen=True)
class Band:
    """A line with its 95 % interval, in points, one value for each place; nan where nothing was seen."""

    family: str
    name: str
    mean: Line
    low: Line
    high: Line


@dataclass(frozen=True)
class BoundaryProfile:
    """Accuracies of the networks, and the differences between neighbours in their order."""

    profile: str
    place: str
    seeds: int
    images: int
    within: int
    """Widest distance of Table 5's boundary region."""
    distance: tuple[int, ...]
    accuracy: tuple[Band, ...]
    gain: tuple[Band, ...]


def draw(shown: BoundaryProfile) -> Figure:
    """Draw accuracies in the upper panel and differences in the lower one, over the same distances."""
    figure, (upper, lower) = style.page(3.6, 2, 1, sharex=True, height_ratios=(1.2, 1))
    for axes, bands in ((upper, shown.accuracy), (lower, shown.gain)):
        for band in bands:
            draw_band(axes, shown.distance, band, every=SPACING)
        axes.axvspan(0.5, shown.within + 0.5, color="#F0F0F0", zorder=0, linewidth=0)
        axes.legend(loc="best", borderaxespad=0.2)
    lower.axhline(0, color=style.INK, linewidth=0.6)
    style.within(upper, most=100)
    upper.set_ylabel("pixel accuracy (%)")
    lower.set_ylabel("gain (points)")
    lower.set_xlim(0.5, shown.distance[-1] + 0.5)
    style.letter(upper, f"Profile {shown.profile}, {many(shown.seeds, 'seed')}")
    lower.set_xlabel(
        "distance to the nearest other label (pixels)\n"
        f"grey: boundary region, up to {shown.within} pixels; bands: 95 % interval"
    )
    return figure


def draw_band(axes: Axes, places: Sequence[float], band: Band, every: int = 1) -> None:
    """Draw a line over some places, a marker at every so many of them, its interval as a band around it."""
    colour, marker = style.FAMILIES[band.family], style.MARKERS[band.family]
    axes.fill_between(places, band.low, band.high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(places, band.mean, color=colour, marker=marker, markevery=every, label=band.name)
