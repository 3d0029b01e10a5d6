"""Style of all figures, a seaborn theme: one column wide, 7 point text, colour-blind safe, byte-identical files."""

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
    from pandas import DataFrame
    from PIL.Image import Image


WIDTH = 3.3
"""Inches: one column of a two-column paper."""
PAGE = 6.87
"""Inches: both columns."""
TEXT = 7.0
"""Points: the smallest text."""
DPI = 300
INK = "#262626"
PRINTED = "#555555"
"""Values that the paper reports, and reference lines."""

BASE, GCN_COLOUR, CONV = (HEADS[kind].colour for kind in (Conv1x1, GCN, Conv))
FAMILIES = {head.slug: head.colour for head in HEADS.values()} | {"gcn+br": "#CC79A7"}
MARKERS = {head.slug: head.marker for head in HEADS.values()} | {"gcn+br": "D"}
DASHES: dict[str, Any] = {head.slug: head.dashes for head in HEADS.values()} | {"gcn+br": (4, 1.2)}
"""In units of the line width; lines without markers differ in more than colour."""

FILLS = {
    **{head.slug: head.fill for head in HEADS.values()},
    "refine": "#F4DDEA",
    "image": "#FFFFFF",
    "features": "#FBF0C9",
    "deconv": "#E8DAC4",
    "sum": "#FFFFFF",
}
"""Light tints of the boxes in diagrams; text on them has a contrast above 12 to 1."""


def family(model: Model) -> str:
    """Return the family of a network, which selects its colour, marker and dashes."""
    return head_info(model.head).slug + ("+br" if model.refine and isinstance(model.head, GCN) else "")


def label(model: Model, *, size: bool = True) -> str:
    """Return a network's name in legends, such as ``GCN k=15 + BR``."""
    sizes = ", ".join(f"{name}={value}" for name, value in head_sizes(model.head).items()) if size else ""
    return f"{head_info(model.head).label} {sizes}".strip() + (" + BR" if model.refine else "")


SIZES = ("font.size", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize")
RC: dict[str, Any] = dict.fromkeys(SIZES, TEXT) | {
    "font.family": "DejaVu Sans",
    "axes.titlesize": TEXT + 0.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.title_fontsize": TEXT + 0.5,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "legend.borderaxespad": 0.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "ytick.minor.size": 1.8,
    "ytick.minor.width": 0.5,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 5.0,
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "svg.hashsalt": "repro",
    "pdf.fonttype": 42,
}
"""Differences from seaborn's theme "ticks" in the context "paper"."""


UNSEEN = 0.1
"""Mean change of a channel (0..255) over a picture below which a palette is not visible."""


@contextmanager
def look() -> Iterator[None]:
    """Draw in the theme of this package, independent of the user's settings."""
    import matplotlib as mpl
    import seaborn as sns

    with mpl.rc_context():
        mpl.rcdefaults()
        sns.set_theme(context="paper", style="ticks", palette=list(FAMILIES.values()), rc=RC)
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

    few = picture.quantize(128, Pillow.Quantize.MEDIANCUT, kmeans=2, dither=Pillow.Dither.NONE)
    moved = ImageStat.Stat(ImageChops.difference(picture, few.convert("RGB"))).mean
    return few if max(moved) < UNSEEN else picture


def within(axes: Axes, least: float | None = None, most: float | None = None) -> None:
    """Limit the vertical axis to possible values: an interval may reach beyond 100 %, a score cannot."""
    low, high = axes.get_ylim()
    slack = 0.02 * (high - low)
    axes.set_ylim(low if least is None else max(low, least - slack), high if most is None else min(high, most + slack))


Line = tuple[float, ...]


@dataclass(frozen=True)
class Band:
    """A line with its 95 % interval, in points, one value for each place; nan without pixels."""

    family: str
    name: str
    mean: Line
    low: Line
    high: Line


def networks(frame: DataFrame, *channels: str) -> dict[str, Any]:
    """Return seaborn's options for the networks of a long frame with columns ``network`` and ``family``.

    Args:
        frame: one row a value.
        channels: seaborn's ``markers`` or ``dashes`` or both; colours always tell networks apart.
    """
    families = dict(zip(frame["network"], frame["family"], strict=True))
    tables = {"palette": FAMILIES, "markers": MARKERS, "dashes": DASHES}
    chosen = {name: {n: tables[name][f] for n, f in families.items()} for name in ("palette", *channels)}
    return {"hue": "network", "style": "network" if channels else None, **chosen}


def accuracy_and_gain(
    heading: str, x: str, places: Sequence[float], panels: Sequence[Sequence[Band]], every: int = 1
) -> tuple[Figure, Axes, Axes]:
    """Draw accuracies in the upper panel and gains in the lower one, over the same places.

    Args:
        heading: title of the upper panel.
        x: quantity along the horizontal axis.
        places: its values.
        panels: bands of the upper and of the lower panel.
        every: places from one marker to the next.
    """
    import pandas as pd
    import seaborn as sns

    figure, (upper, lower) = page(3.6, 2, 1, sharex=True, height_ratios=(1.2, 1))
    for axes, bands in zip((upper, lower), panels, strict=True):
        frame = pd.concat(
            pd.DataFrame(
                {"network": band.name, "family": band.family, x: places, "mean": band.mean, "low": band.low,
                 "high": band.high}
            )
            for band in bands
        )  # fmt: skip
        for family, rows in frame.groupby("family", sort=False):
            axes.fill_between(rows[x], rows["low"], rows["high"], color=FAMILIES[family], alpha=0.2, linewidth=0)
        sns.lineplot(frame, x=x, y="mean", estimator=None, errorbar=None, markevery=every, ax=axes,
                         **networks(frame, "markers", "dashes"))  # fmt: skip
        axes.legend(loc="best")
    lower.axhline(0, color=INK, linewidth=0.6)
    upper.set(title=heading, ylabel="pixel accuracy (%)")
    lower.set(ylabel="gain (points)")
    return figure, upper, lower


def kernel_line(axes: Axes, seeds: DataFrame, colour: str = GCN_COLOUR, dashes: str = "-") -> None:
    """Draw values against the kernel size: a line of ``mean``, a dot for each seed's ``value``; k = 1 is the baseline.

    Args:
        axes: where to draw.
        seeds: columns ``k``, ``mean`` and ``value``, one row a seed.
        colour: of GCN.
        dashes: of the line.
    """
    import seaborn as sns

    means = seeds.drop_duplicates("k").assign(network=lambda frame: (frame["k"] == 1).map({True: "base", False: "gcn"}))
    sns.lineplot(means, x="k", y="mean", color=colour, linestyle=dashes, estimator=None, errorbar=None, ax=axes)
    sns.scatterplot(
        means, x="k", y="mean", hue="network", palette={"base": BASE, "gcn": colour}, style="network",
        markers=MARKERS, s=18, zorder=3, legend=False, ax=axes,
    )  # fmt: skip
    if len(seeds) > len(means):
        sns.scatterplot(seeds, x="k", y="value", color=colour, s=6, linewidth=0, alpha=0.7, legend=False, ax=axes)
    axes.set_xticks(means["k"])
