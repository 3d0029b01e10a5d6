"""With Table 2: training loss of GCN and of the k x k convolution at large k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    from pandas import Series

    from repro.figures.inputs import Material


TRAININGS = tuple(Training(Model(head(k))) for k in (7, 9) for head in (GCN, Conv))
FIGURE = FigureSpec(0, "training_curves", "Training at large kernel sizes", TRAININGS)


WINDOW = 0.02
"""Share of the training over which losses are averaged."""


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
    """All seeds of all networks."""

    profile: str
    place: str
    logs: tuple[Log, ...]


def draw(shown: Logs) -> Figure:
    """Draw one panel for each k on a common loss axis; a cross ends a training that diverged.

    A thin line is one seed, a thick one the mean of those that did not diverge, as far as the shortest was logged.
    """
    import pandas as pd
    import seaborn as sns

    names = {"gcn": "GCN", "conv": "Conv"}
    frame = pd.concat(
        pd.DataFrame({**vars(log), "network": names.get(log.family, log.family), "mean": smooth(log.loss)})
        for log in shown.logs
    )
    sizes = sorted({log.k for log in shown.logs})
    figure, panels = style.page(2.2, 1, len(sizes), sharey=True, squeeze=False)
    for axes, k in zip(panels[0], sizes, strict=True):
        here = frame[frame["k"] == k]
        whole = here[here["status"] != "diverged"]
        thick = whole.groupby(["family", "network", "step"], sort=False)["mean"].agg(["mean", "size"]).reset_index()
        seeds = whole.groupby("network")["seed"].nunique()
        thick = thick[thick["size"] == thick["network"].map(seeds)]
        common = {"x": "step", "y": "mean", "estimator": None, "errorbar": None, "ax": axes}
        sns.lineplot(here, units="seed", linewidth=0.4, alpha=0.5, legend=False, **common, **style.networks(here))
        sns.lineplot(thick, linewidth=1.4, legend=False, **common, **style.networks(thick, "dashes"))
        for log in shown.logs:
            if log.k == k and log.status == "diverged" and log.step:
                axes.plot(log.step[-1], log.loss[-1], "x", color=style.FAMILIES[log.family], markersize=5)
        axes.set(title=f"k = {k}", yscale="log", xlabel="step", ylabel="training loss")
        axes.locator_params(axis="x", nbins=4)
    _ticks(panels[0][0])
    figure.supxlabel(
        f"thin: seeds (means over {100 * WINDOW:.0f} % of the steps); thick: their mean", fontsize=style.TEXT
    )
    panels[0][-1].legend(handles=_handles(shown, names), loc="upper right")
    count = len({log.seed for log in shown.logs})
    heading = f"Profile {shown.profile}, {many(count, 'seed')}"
    figure.suptitle(heading, fontsize=style.TEXT + 0.5, fontweight="bold", x=0.02, ha="left")
    return figure


def smooth(loss: Sequence[float]) -> Series:
    """Return the mean of each loss and those just before it."""
    import pandas as pd

    return pd.Series(loss, dtype=float).rolling(max(1, round(len(loss) * WINDOW)), min_periods=1).mean()


def _ticks(axes: Axes) -> None:
    """Label losses at 1, 2 and 5 of each decade as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _handles(shown: Logs, names: Mapping[str, str]) -> list[object]:
    from matplotlib.lines import Line2D

    handles: list[object] = [
        Line2D([], [], color=style.FAMILIES[f], linestyle=(0, style.DASHES[f]) if style.DASHES[f] else "-",
               label=names.get(f, f))
        for f in dict.fromkeys(log.family for log in shown.logs)
    ]  # fmt: skip
    if any(log.status == "diverged" for log in shown.logs):
        handles.append(Line2D([], [], color=style.INK, marker="x", linestyle="", label="diverged"))
    return handles


def compute(material: Material) -> Logs:
    """Return the logged losses of all seeds, including diverged ones.

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
