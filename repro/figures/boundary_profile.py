"""With Table 5: accuracy against the distance to the boundary, for the baseline, GCN and GCN + BR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.figures import TABLE5, style
from repro.formatting import many
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro.figures.inputs import Ints, Material
    from repro.figures.style import Band
    from repro.results.records import Record


FIGURE = FigureSpec(0, "boundary_profile", "Accuracy against the distance to the boundary", TABLE5)


SPACING = 4
"""Pixels between markers of a line."""


@dataclass(frozen=True)
class BoundaryProfile:
    """Accuracies of the networks and the gain of each over the one before it."""

    profile: str
    place: str
    seeds: int
    images: int
    within: int
    """Largest distance in Table 5's boundary region."""
    distance: tuple[int, ...]
    accuracy: tuple[Band, ...]
    gain: tuple[Band, ...]


def draw(shown: BoundaryProfile) -> Figure:
    """Draw accuracies and gains over the distance, the boundary region in grey."""
    heading = f"Profile {shown.profile}, {many(shown.seeds, 'seed')}"
    panels = shown.accuracy, shown.gain
    figure, upper, lower = style.accuracy_and_gain(heading, "distance", shown.distance, panels, SPACING)
    for axes in (upper, lower):
        axes.axvspan(0.5, shown.within + 0.5, color="#F0F0F0", zorder=0, linewidth=0)
    style.within(upper, most=100)
    lower.set(
        xlim=(0.5, shown.distance[-1] + 0.5),
        xlabel="distance to the nearest other label (pixels)\n"
        f"grey: boundary region, up to {shown.within} pixels; bands: 95 % interval",
    )
    return figure


def compute(material: Material) -> BoundaryProfile:
    """Return accuracies and gains at each distance to the boundary."""
    from repro.figures.inputs import DISTANCES, network_bands
    from repro.results import metrics

    def split(record: Record) -> list[Ints]:
        return [material.evidence.counts(record)["distance"][:, d] for d in DISTANCES]

    accuracy, gain = network_bands(material, split)
    return BoundaryProfile(
        material.profile.name, material.place, material.seeds, material.images, metrics.WITHIN, DISTANCES, accuracy,
        gain,
    )  # fmt: skip
