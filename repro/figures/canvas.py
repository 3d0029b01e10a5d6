"""Boxes with text and arrows between them, placed in inches, for diagrams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text


Point = tuple[float, float]
LINE = 0.7


@dataclass(frozen=True)
class Box:
    """A rectangle by its centre and size, in inches from the lower left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        """Middle of the left side."""
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        """Middle of the right side."""
        return self.x + self.width / 2, self.y

    @property
    def top(self) -> Point:
        """Middle of the upper side."""
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> Point:
        """Middle of the lower side."""
        return self.x, self.y - self.height / 2


@dataclass(frozen=True)
class Canvas:
    """A page whose unit is the inch."""

    figure: Figure
    axes: Axes

    def box(self, box: Box, lines: Sequence[str], fill: str, *, bold: bool = True, dashed: bool = False) -> Box:
        """Draw a box with centred lines of text, the first one bold."""
        from matplotlib.patches import FancyBboxPatch

        corner = (box.x - box.width / 2, box.y - box.height / 2)
        self.axes.add_patch(
            FancyBboxPatch(
                corner, box.width, box.height, boxstyle="round,pad=0,rounding_size=0.03", linewidth=LINE,
                facecolor=style.FILLS[fill], edgecolor=style.INK, linestyle=(0, (3, 2)) if dashed else "-",
            )
        )  # fmt: skip
        step = 0.118
        for i, line in enumerate(lines):
            y = box.y + ((len(lines) - 1) / 2 - i) * step
            weight = "bold" if bold and i == 0 else "normal"
            self.axes.text(box.x, y, line, ha="center", va="center_baseline", fontweight=weight)
        return box

    def arrow(self, *points: Point, head: bool = True) -> None:
        """Draw straight lines through some points, an arrow head at the last one."""
        xs, ys = zip(*points[:-1], strict=True) if len(points) > 2 else ((), ())  # noqa: PLR2004 - corners
        if xs:
            self.axes.plot(xs, ys, color=style.INK, linewidth=LINE, solid_capstyle="butt", solid_joinstyle="miter")
        kind = "-|>,head_length=2.6,head_width=1.5" if head else "-"
        self.axes.annotate(
            "", xy=points[-1], xytext=points[-2],
            arrowprops={"arrowstyle": kind, "color": style.INK, "linewidth": LINE, "shrinkA": 0, "shrinkB": 0,
                        "joinstyle": "miter", "mutation_scale": 1},
        )  # fmt: skip

    def text(self, x: float, y: float, text: str, *, bold: bool = False, ha: str = "center") -> Text:
        """Write one line on the page."""
        weight = "bold" if bold else "normal"
        return self.axes.text(x, y, text, ha=ha, va="center_baseline", fontweight=weight)

    def title(self, x: float, y: float, text: str) -> Text:
        """Write a panel's title, from its left end."""
        return self.axes.text(x, y, text, ha="left", va="center_baseline", fontweight="bold", fontsize=style.TEXT + 0.5)


def canvas(height: float, width: float = style.WIDTH) -> Canvas:
    """Return an empty page, by default one column wide."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as MplFigure

    figure = MplFigure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return Canvas(figure, axes)
