"""Figure 3: valid receptive fields as bright regions of the darkened image, the position marked; the gradient's too."""

from __future__ import annotations

import math
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
LEGEND = "square: the position; bright, outlined: its valid receptive field"


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
    gradient: NDArray[np.bool_] = field(metadata={"shown": False})
    """(h, w): the gradient's field, averaged under the occluders and cut at the same share of its largest value."""


@dataclass(frozen=True)
class Fields:
    """Panels side by side, and how they were measured."""

    rule: str
    occluder: int
    stride: int
    """On an image that was not enlarged."""
    threshold: float
    panels: tuple[Panel, ...]
    """At most three."""


def draw(shown: Fields) -> Figure:
    """Draw every panel, its area beneath it; the gradient's field under it, beside it where there is but one."""
    alone = len(shown.panels) == 1
    height = max(panel.image.shape[0] / panel.image.shape[1] for panel in shown.panels)
    rows, columns = (1, 2) if alone else (2, len(shown.panels))
    figure, axes = style.page(rows * (style.WIDTH / columns * height + 0.62) - 0.12 * (rows - 1) + 0.15, rows, columns)
    upper, lower = ([axes[0]], [axes[1]]) if alone else axes
    for letter, over, under, panel in zip("ABC", upper, lower, shown.panels, strict=False):
        _panel(over, panel, panel.inside, panel.title if alone else f"{letter}  {panel.title}", _area(panel))
        _panel(under, panel, panel.gradient, "by the gradient", _agreement(panel))
    figure.supxlabel(LEGEND, fontsize=style.TEXT)
    return figure


def _area(panel: Panel) -> list[str]:
    lines = [f"field {panel.area:,.0f} px", f"({100 * panel.share:.0f} % of image)"]
    return lines if panel.object_area is None else [*lines, f"object {panel.object_area:,} px"]


def _agreement(panel: Panel) -> list[str]:
    """Return how the gradient's field agrees with the occluders', nothing where it is constant."""
    numbers = {"rank corr.": panel.rank, "overlap": panel.overlap}
    return [f"{name} {number:.2f}" for name, number in numbers.items() if math.isfinite(number)]


def _panel(axes: Axes, panel: Panel, inside: NDArray[np.bool_], title: str, lines: list[str]) -> None:
    bright = inside[..., None]
    axes.imshow(np.where(bright, panel.image, panel.image * DARK).astype(np.uint8), interpolation="nearest")
    if inside.any() and not inside.all():
        axes.contour(inside, levels=[0.5], colors="white", linewidths=0.6)
    axes.plot(*panel.at, "s", color=MARK, markersize=3, markeredgecolor="white", markeredgewidth=0.4)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_title(title, loc="left", fontsize=style.TEXT, fontweight="bold")
    axes.set_xlabel("\n".join(lines), fontsize=style.TEXT)
    axes.spines[:].set_visible(False)
