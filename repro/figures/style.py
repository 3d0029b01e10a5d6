"""One look for every figure: one column wide, 7 point text, colours that everybody tells apart, the same bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.config.io import atomic_write
from repro.config.networks import GCN, HEADS, Conv, Conv1x1, Model, head_info, head_sizes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image


WIDTH = 3.3
"""Inches: one column of a two-column paper."""
TEXT = 7.0
"""Points: the smallest text."""
DPI = 300
INK = "#222222"
PRINTED = "#555555"
"""What the paper prints."""

BASE, GCN_COLOUR, CONV = (HEADS[kind].colour for kind in (Conv1x1, GCN, Conv))
FAMILIES = {head.slug: head.colour for head in HEADS.values()} | {"gcn+br": "#CC79A7"}
MARKERS = {head.slug: head.marker for head in HEADS.values()} | {"gcn+br": "D"}
DASHES: dict[str, Any] = {head.slug: head.dashes for head in HEADS.values()} | {"gcn+br": (0, (4, 1.2))}
"""Where lines carry no markers: two that stand together differ in more than their colour."""

FILLS = {
    **{head.slug: head.fill for head in HEADS.values()},
    "refine": "#F4DDEA",
    "image": "#FFFFFF",
    "features": "#FBF0C9",
    "deconv": "#E8DAC4",
    "sum": "#FFFFFF",
}
"""Light tints for the boxes of diagrams, the models' own first; the text stands on them at more than 12 to 1."""


def family(model: Model) -> str:
    """Return which colour and marker a network has everywhere."""
    return head_info(model.head).slug + ("+br" if model.refine and isinstance(model.head, GCN) else "")


def label(model: Model, *, size: bool = True) -> str:
    """Return a network's name in legends, such as ``GCN k=15 + BR``."""
    sizes = ", ".join(f"{name}={value}" for name, value in head_sizes(model.head).items()) if size else ""
    return f"{head_info(model.head).label} {sizes}".strip() + (" + BR" if model.refine else "")


RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": TEXT,
    "axes.labelsize": TEXT,
    "axes.titlesize": TEXT + 0.5,
    "xtick.labelsize": TEXT,
    "ytick.labelsize": TEXT,
    "legend.fontsize": TEXT,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "svg.hashsalt": "repro",
    "pdf.fonttype": 42,
    "figure.facecolor": "white",
}


UNSEEN = 0.1
"""Mean change of a channel's 0..255, over a whole picture, that nobody sees: it is in the rims of letters."""


@contextmanager
def look() -> Iterator[None]:
    """Draw under the common settings, whatever the user's own are."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        for name, value in RC.items():
            mpl.rcParams[name] = value  # type: ignore[index] # the names are known to matplotlib alone
        yield


def page(height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:  # noqa: ANN401 - axes, or an array of them
    """Return a figure one column wide and its axes, laid out so that nothing is clipped.

    Args:
        height: inches.
        rows: of axes.
        columns: of axes.
        options: what ``Figure.subplots`` takes, such as ``sharey``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as MplFigure

    figure = MplFigure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **options)


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``stem.pdf`` (vector) and ``stem.png``; the same figure gives the same bytes."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_suffix(".pdf"), stem.with_suffix(".png")]
    nothing = dict.fromkeys(("CreationDate", "ModDate", "Creator", "Producer"))
    vector = io.BytesIO()
    figure.savefig(vector, format="pdf", metadata=nothing)
    for path, drawn in zip(paths, (vector.getvalue(), _png(figure)), strict=True):
        atomic_write(path, drawn)
    return paths


def _png(figure: Figure) -> bytes:
    """Return a picture without the alpha channel, which is opaque everywhere and a tenth of the bytes."""
    from PIL import Image

    drawn, light = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    with Image.open(drawn) as picture:
        _light(picture.convert("RGB")).save(light, format="PNG", optimize=True, dpi=(DPI, DPI))
    return light.getvalue()


def _light(picture: Image) -> Image:
    """Return lines and text in a palette, 40 % of the bytes; pictures and maps, where it would show, as they are."""
    from PIL import Image as Pillow
    from PIL import ImageChops, ImageStat

    few = picture.quantize(256, Pillow.Quantize.MEDIANCUT, kmeans=2, dither=Pillow.Dither.NONE)
    moved = ImageStat.Stat(ImageChops.difference(picture, few.convert("RGB"))).mean
    return few if max(moved) < UNSEEN else picture


def within(axes: Axes, least: float | None = None, most: float | None = None) -> None:
    """End the vertical axis where no value can lie: an interval may reach beyond, a score cannot."""
    low, high = axes.get_ylim()
    slack = 0.02 * (high - low)
    axes.set_ylim(low if least is None else max(low, least - slack), high if most is None else min(high, most + slack))


def letter(axes: Axes, text: str) -> None:
    """Write a panel's letter and title over its left corner."""
    axes.set_title(text, loc="left", fontweight="bold", fontsize=TEXT + 0.5)


Line = tuple[float, ...]


@dataclass(frozen=True)
class Band:
    """A line with its 95 % interval, in points, one value for each place; nan where nothing was seen."""

    family: str
    name: str
    mean: Line
    low: Line
    high: Line


def draw_band(axes: Axes, places: Sequence[float], band: Band, every: int = 1) -> None:
    """Draw a line over some places, a marker at every so many of them, its interval as a band around it."""
    colour, marker = FAMILIES[band.family], MARKERS[band.family]
    axes.fill_between(places, band.low, band.high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(places, band.mean, color=colour, marker=marker, markevery=every, label=band.name)
