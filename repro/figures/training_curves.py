"""Beside Table 2: the loss of GCN and of the plain convolution at large k, whether it converges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from repro.config.errors import FigureError
from repro.config.experiment import Training
from repro.config.networks import GCN, Conv, Model
from repro.figures import style
from repro.formatting import many
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from repro.figures.inputs import Material


FIGURE = FigureSpec(
    number=0,
    name="training_curves",
    title="Training at large kernel sizes",
    draw="training_curves",
    trainings=tuple(Training(Model(head(k))) for k in (7, 9) for head in (GCN, Conv)),
)


WINDOW = 0.02
"""Share of the training over which a line is averaged."""


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
    """Draw one panel for each k, on the same axes of loss; a cross ends a training that diverged.

    A thin line is one seed, a thick one the mean of those that ran to the same step.
    """
    sizes = sorted({log.k for log in shown.logs})
    figure, panels = style.page(2.2, 1, len(sizes), sharey=True, squeeze=False)
    for axes, k in zip(panels[0], sizes, strict=True):
        here = [log for log in shown.logs if log.k == k]
        for log in here:
            _seed(axes, log)
        for family in dict.fromkeys(log.family for log in here):
            _mean(axes, [log for log in here if log.family == family])
        style.letter(axes, f"k = {k}")
        axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.locator_params(axis="x", nbins=4)
    _ticks(panels[0][0])
    panels[0][0].set_ylabel("training loss")
    figure.supxlabel(
        f"thin: seeds (means over {100 * WINDOW:.0f} % of the steps); thick: their mean", fontsize=style.TEXT
    )
    panels[0][-1].legend(handles=_handles(shown), loc="upper right", borderaxespad=0.2)
    count = len({log.seed for log in shown.logs})
    figure.suptitle(
        f"Profile {shown.profile}, {many(count, 'seed')}",
        fontsize=style.TEXT + 0.5,
        fontweight="bold",
        x=0.02,
        ha="left",
    )
    return figure


def _seed(axes: Axes, log: Log) -> None:
    colour = style.FAMILIES[log.family]
    axes.plot(log.step, smooth(log.loss), color=colour, linewidth=0.4, alpha=0.5)
    if log.status == "diverged" and log.step:
        axes.plot(log.step[-1], log.loss[-1], "x", color=colour, markersize=5)


def _mean(axes: Axes, logs: Sequence[Log]) -> None:
    """Draw the mean over the seeds that did not diverge, as far as the shortest of them was logged."""
    whole = [log for log in logs if log.status != "diverged"]
    steps = min((log.step for log in whole), key=len, default=())
    if not steps or any(log.step[: len(steps)] != steps for log in whole):
        return
    family = whole[0].family
    mean = [fmean(losses) for losses in zip(*(smooth(log.loss)[: len(steps)] for log in whole), strict=True)]
    axes.plot(steps, mean, color=style.FAMILIES[family], linestyle=style.DASHES[family], linewidth=1.4)


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
    handles: list[object] = [
        Line2D([], [], color=style.FAMILIES[f], linestyle=style.DASHES[f], label=names.get(f, f)) for f in families
    ]
    if any(log.status == "diverged" for log in shown.logs):
        handles.append(Line2D([], [], color=style.INK, marker="x", linestyle="", label="diverged"))
    return handles


def compute(material: Material) -> Logs:
    """Return the logged losses of every seed, those that diverged too.

    Raises:
        FigureError: a record has no log.
    """
    logs = []
    for part in material.shown:
        for record in (*part.records, *part.found.diverged):
            lines = record.log()
            if not lines:
                raise FigureError(f"{record.name}: its log.jsonl is missing or empty; restore it or run it again")
            head = part.model.head
            assert isinstance(head, Conv | GCN)
            assert isinstance(head.k, int)
            steps, losses = zip(*((int(line["step"]), float(line["loss"])) for line in lines), strict=True)
            family = "conv" if isinstance(head, Conv) else style.family(part.model)
            logs.append(Log(family, head.k, record.seed, record.status, steps, losses))
    return Logs(material.profile.name, material.place, tuple(logs))
