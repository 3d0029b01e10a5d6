"""Figure 6: images, what three networks say, and the truth, in the data set's own colours."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from repro.render.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEGEND_COLUMNS = 3
LINE = 56
"""Letters of a line."""


@dataclass(frozen=True, eq=False)
class Example:
    """One row: an image by its name, and the mean IoU of each network on it, in points."""

    name: str
    percentile: int
    iou: tuple[float, ...]
    pictures: tuple[NDArray[np.uint8], ...] = field(metadata={"shown": False})
    """Image, predictions and truth, each (h, w, 3) RGB."""


@dataclass(frozen=True)
class Examples:
    """Rows of examples; ``rule`` says in words how they were chosen."""

    profile: str
    place: str
    seed: int
    rule: str
    columns: tuple[str, ...]
    rows: tuple[Example, ...]
    legend: tuple[tuple[str, tuple[int, int, int]], ...]


def draw(shown: Examples) -> Figure:
    """Draw the rows under the names of the columns, the classes that occur beneath."""
    tall = [row.pictures[0].shape[0] / row.pictures[0].shape[1] for row in shown.rows]
    lines = -(-len(shown.legend) // LEGEND_COLUMNS)
    height = sum(tall) * style.WIDTH / len(shown.columns) + 0.11 * len(tall) + 0.22 + 0.16 * lines + 0.3
    figure, axes = style.page(height, len(tall), len(shown.columns), squeeze=False, height_ratios=tall)
    for y, row in enumerate(shown.rows):
        under = ("mean IoU:", *(f"{value:.0f} %" for value in row.iou), "")
        for x, picture in enumerate(row.pictures):
            place = axes[y][x]
            place.imshow(picture, interpolation="nearest")
            place.set_xticks([])
            place.set_yticks([])
            place.grid(visible=False)
            place.spines[:].set(visible=True, linewidth=0.4)
            place.set_xlabel(under[x], labelpad=1.5)
            if y == 0:
                place.set_title(shown.columns[x], fontsize=style.TEXT, pad=3)
    figure.set_layout_engine("constrained", w_pad=0.015, h_pad=0.015, wspace=0, hspace=0)
    _legend(figure, shown)
    return figure


def _legend(figure: Figure, shown: Examples) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(
            facecolor="#{:02X}{:02X}{:02X}".format(*colour),
            edgecolor=style.INK,
            linewidth=0.4,
            label=name.replace("_", " "),
        )
        for name, colour in shown.legend
    ]
    rule = "\n".join(
        textwrap.wrap(
            f"Profile {shown.profile}, seed {shown.seed}. Rows: {shown.rule}".replace(" + ", "\u00a0+\u00a0"), LINE
        )
    )
    legend = figure.legend(handles=patches, loc="outside lower center", ncols=LEGEND_COLUMNS, handlelength=1.0,
                           columnspacing=1.2, title=rule, alignment="left")  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)  # names from a record
