"""One look for every figure: one column wide, 7 point text, colours that everybody tells apart, the same bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.config.hashing import head_name, normal
from repro.config.io import atomic_write
from repro.config.networks import GCN, Conv, Conv1x1, Model, Stack
from repro.config.networks import Head as HeadSpec

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

# Okabe and Ito's colours: told apart under every common colour blindness.
BASE, GCN_COLOUR, CONV, STACK, REFINED = "#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7"
FAMILIES = {"base": BASE, "gcn": GCN_COLOUR, "gcn+br": REFINED, "conv": CONV, "stack": STACK}
MARKERS = {"base": "s", "gcn": "o", "gcn+br": "D", "conv": "^", "stack": "v"}
DASHES: dict[str, Any] = {"base": "-", "gcn": "-", "gcn+br": (0, (4, 1.2)), "conv": (0, (4, 1.2)), "stack": ":"}
"""Where lines carry no markers: two that stand together differ in more than their colour."""

FILLS = {
    "base": "#E3E3E3",
    "gcn": "#D3E7F4",
    "conv": "#F8DCC8",
    "stack": "#D0EDE3",
    "refine": "#F4DDEA",
    "image": "#FFFFFF",
    "features": "#FBF0C9",
    "deconv": "#E8DAC4",
    "sum": "#FFFFFF",
}
"""Light tints for the boxes of diagrams, the models' own first; the text stands on them at more than 12 to 1."""


def family(model: Model) -> str:
    """Return which colour and marker a network has everywhere."""
    return _family(model.head) + ("+br" if model.refine and isinstance(model.head, GCN) else "")


def _family(head: HeadSpec) -> str:
    match normal(head):
        case GCN():
            return "gcn"
        case Conv():
            return "conv"
        case Stack():
            return "stack"
        case Conv1x1():
            return "base"
    raise AssertionError(head)


def label(model: Model, *, size: bool = True) -> str:
    """Return a network's name in legends, such as ``GCN k=15 + BR``."""
    name, _, rest = head_name(model.head).partition("-")
    text = {"base": "baseline 1×1", "gcn": "GCN", "conv": "Conv", "stack": "Stack"}[name]
    k = rest.replace("k", "k=").replace("-m", ", m=") if size and rest else ""
    return f"{text} {k}".strip() + (" + BR" if model.refine else "")


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
