"""Beside Table 2: the training loss of GCN and of the plain convolution at the same large k, seed by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.render.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WINDOW = 0.02
"""Share of the training over which a line is averaged; the thin line behind it is not."""


@dataclass(frozen=True)
class Log:
    """The losses of one seed as logged."""

    family: str
    k: int
    seed: int
    status: str
    step: tuple[int, ...]
    loss: tuple[float, ...]


@dataclass(frozen=True)
class Logs:
    """Every seed of every network."""

    profile: str
    place: str
    logs: tuple[Log, ...]


def draw(shown: Logs) -> Figure:
    """Draw one panel for each k, on the same axes of loss; a cross ends a training that diverged."""
    sizes = sorted({log.k for log in shown.logs})
    figure, panels = style.page(1.9, 1, len(sizes), sharey=True, squeeze=False)
    for axes, k in zip(panels[0], sizes, strict=True):
        for log in shown.logs:
            if log.k == k:
                _line(axes, log)
        style.letter(axes, f"k = {k}")
        axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.locator_params(axis="x", nbins=4)
    _ticks(panels[0][0])
    panels[0][0].set_ylabel("training loss")
    panels[0][-1].legend(handles=_handles(shown), loc="upper right", borderaxespad=0.2)
    count = len({log.seed for log in shown.logs})
    figure.suptitle(f"Profile {shown.profile}, {style.seeds(count)}", fontsize=style.TEXT, x=0.02, ha="left")
    return figure


def _line(axes: Axes, log: Log) -> None:
    colour = style.FAMILIES[log.family]
    axes.plot(log.step, log.loss, color=colour, linewidth=0.4, alpha=0.25)
    axes.plot(log.step, smooth(log.loss), color=colour, linewidth=1.0)
    if log.status == "diverged" and log.step:
        axes.plot(log.step[-1], log.loss[-1], "x", color=colour, markersize=5)


def smooth(loss: Sequence[float]) -> list[float]:
    """Return the mean of each loss and those just before it."""
    width = max(1, round(len(loss) * WINDOW))
    return [
        sum(loss[max(0, i + 1 - width) : i + 1]) / len(loss[max(0, i + 1 - width) : i + 1]) for i in range(len(loss))
    ]


def _ticks(axes: Axes) -> None:
    """Write losses as numbers, at 1, 2 and 5 of each decade, so that no tick is set smaller than the text."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _handles(shown: Logs) -> list[object]:
    from matplotlib.lines import Line2D

    names = {"gcn": "GCN", "conv": "Conv"}
    families = dict.fromkeys(log.family for log in shown.logs)
    handles: list[object] = [Line2D([], [], color=style.FAMILIES[f], label=names.get(f, f)) for f in families]
    if any(log.status == "diverged" for log in shown.logs):
        handles.append(Line2D([], [], color=style.INK, marker="x", linestyle="", label="diverged"))
    return handles
