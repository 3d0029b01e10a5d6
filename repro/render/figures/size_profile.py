"""Beside Table 5: accuracy against the size of the object, and what each network adds to the one before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.plural import many
from repro.render.figures import style
from repro.render.figures.boundary_profile import Band, draw_band

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class SizeProfile:
    """Accuracies of the networks inside objects, and the differences between neighbours in their order."""

    profile: str
    place: str
    seeds: int
    images: int
    sizes: tuple[int, ...]
    """The least pixels of each bin; it ends before twice as many."""
    holding: tuple[int, ...]
    """Images that hold an object of each bin."""
    fewest: int
    """Bins that fewer images hold are left out."""
    accuracy: tuple[Band, ...]
    gain: tuple[Band, ...]


def draw(shown: SizeProfile) -> Figure:
    """Draw accuracies in the upper panel and differences in the lower one, each bin at its middle."""
    figure, (upper, lower) = style.page(3.6, 2, 1, sharex=True, height_ratios=(1.2, 1))
    middles = [size * 2**0.5 for size in shown.sizes]
    for axes, bands in ((upper, shown.accuracy), (lower, shown.gain)):
        for band in bands:
            draw_band(axes, middles, band)
        axes.legend(loc="best", borderaxespad=0.2)
    lower.axhline(0, color=style.INK, linewidth=0.6)
    style.within(upper, least=0, most=100)
    upper.set_ylabel("pixel accuracy (%)")
    lower.set_ylabel("gain (points)")
    lower.set_xscale("log", base=2)
    ends = [*shown.sizes, 2 * shown.sizes[-1]]
    lower.set_xticks(ends, [f"{end:,}" for end in ends])
    lower.minorticks_off()
    style.letter(upper, f"Profile {shown.profile}, {many(shown.seeds, 'seed')}")
    lower.set_xlabel("size of the object that a pixel lies in (pixels)\nbands: 95 % interval")
    return figure
