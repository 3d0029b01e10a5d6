"""Figure 3: valid receptive fields as bright regions of the darkened image, the position marked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from repro.render.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DARK = 0.38
MARK = "#E0000B"
MOST = 3
"""Panels in a row."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One field. Areas are in pixels; ``rank`` and ``overlap`` say how the gradient's field agrees with it."""

    title: str
    at: tuple[int, int]
    area: float
    share: float
    """Area over the image's."""
    object_area: int | None
    rank: float
    overlap: float
    image: NDArray[np.uint8] = field(metadata={"shown": False})
    """(h, w, 3) RGB."""
    inside: NDArray[np.bool_] = field(metadata={"shown": False})
    """(h, w)."""


@dataclass(frozen=True)
class Fields:
    """Panels side by side, and how they were measured."""

    rule: str
    occluder: int
    stride: int
    """On an image that was not enlarged."""
    threshold: float
    panels: tuple[Panel, ...]


def draw(shown: Fields) -> Figure:
    """Draw every panel, its area beneath it."""
    columns = min(len(shown.panels), MOST)
    height = max(panel.image.shape[0] / panel.image.shape[1] for panel in shown.panels)
    width = style.WIDTH / columns
    figure, axes = style.page(width * height + 0.62, 1, columns, squeeze=False)
    for letter, (place, panel) in zip("ABC", zip(axes[0], shown.panels, strict=True), strict=False):
        _panel(place, panel, f"{letter}  {panel.title}" if columns > 1 else panel.title)
    return figure


def _panel(axes: Axes, panel: Panel, title: str) -> None:
    bright = panel.inside[..., None]
    axes.imshow(np.where(bright, panel.image, panel.image * DARK).astype(np.uint8), interpolation="nearest")
    if panel.inside.any() and not panel.inside.all():
        axes.contour(panel.inside, levels=[0.5], colors="white", linewidths=0.6)
    axes.plot(*panel.at, "s", color=MARK, markersize=3, markeredgecolor="white", markeredgewidth=0.4)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_title(title, loc="left", fontsize=style.TEXT, fontweight="bold")
    lines = [f"field {panel.area:,.0f} px", f"({panel.share:.0%} of image)"]
    if panel.object_area is not None:
        lines.append(f"object {panel.object_area:,} px")
    axes.set_xlabel("\n".join(lines), fontsize=style.TEXT)
    axes.spines[:].set_visible(False)
