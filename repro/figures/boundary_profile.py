"""Beside Table 5: accuracy against the distance to the boundary, for the baseline, GCN and GCN + BR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.config.experiment import Training
from repro.config.networks import GCN, Conv1x1, Model
from repro.figures import style
from repro.formatting import many
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro.figures.inputs import Ints, Material
    from repro.figures.style import Band
    from repro.results.records import Record


MODELS = (Model(Conv1x1()), Model(GCN(15)), Model(GCN(15), refine=True))

FIGURE = FigureSpec(
    number=0,
    name="boundary_profile",
    title="Accuracy against the distance to the boundary",
    draw="boundary_profile",
    trainings=tuple(Training(model) for model in MODELS),
)


SPACING = 4
"""Pixels between markers of a line."""


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
    """Return the accuracy at each distance to the boundary, and what each network adds to the one before it."""
    from repro.figures.inputs import DISTANCES, network_bands
    from repro.results import metrics

    def split(record: Record) -> list[Ints]:
        return [material.evidence.counts(record)["distance"][:, d] for d in DISTANCES]

    accuracy, gain = network_bands(material, split)
    return BoundaryProfile(
        material.profile.name, material.place, material.seeds, material.images, metrics.WITHIN, DISTANCES, accuracy,
        gain,
    )  # fmt: skip
