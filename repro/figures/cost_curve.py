"""With Table 2: parameters and multiply-adds of GCN, Conv and Stack against k, with the line of 2/k."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.config.networks import GCN, PAPER_CHANNELS, Conv, Stack
from repro.config.networks import Head as HeadSpec
from repro.figures import style
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure


FIGURE = FigureSpec(0, "cost_curve", "Cost against the kernel size")


@dataclass(frozen=True)
class Head:
    """One type of head at several kernel sizes."""

    family: str
    name: str
    k: tuple[int, ...]
    params: tuple[int, ...]
    macs: tuple[int, ...]


@dataclass(frozen=True)
class Costs:
    """The heads after ``channels`` channels on a map of ``side`` cells squared."""

    channels: int
    classes: int
    side: int
    heads: tuple[Head, ...]


def draw(costs: Costs) -> Figure:
    """Draw parameters and multiply-adds (one is the other times the cells of the map), then GCN's share of Conv's."""
    import pandas as pd
    import seaborn as sns
    from matplotlib.ticker import EngFormatter, NullFormatter

    frame = pd.DataFrame([{**vars(head), "network": head.name} for head in costs.heads])
    frame = frame.explode(["k", "params", "macs"]).astype({"k": int, "params": int, "macs": int})
    cells = costs.side**2
    assert (frame["macs"] == frame["params"] * cells).all()
    figure, (upper, lower) = style.page(3.5, 2, 1, sharex=True, height_ratios=(1.5, 1))
    sns.lineplot(frame, x="k", y="params", estimator=None, errorbar=None, legend=False, ax=upper,
                     **style.networks(frame, "markers", "dashes"))  # fmt: skip
    for head in costs.heads:
        upper.annotate(head.name, (head.k[-1], head.params[-1]), (0, -11), textcoords="offset points", ha="right",
                       va="top", color=style.FAMILIES[head.family])  # fmt: skip
    upper.set(
        title=f"Heads after res-5: {costs.channels} → {costs.classes}", ylabel="parameters", yscale="log",
        ylim=(frame["params"].min() / 3, None),
    )  # fmt: skip
    right = upper.secondary_yaxis("right", functions=(lambda p: p * cells, lambda m: m / cells))
    right.set_ylabel(f"multiply-adds, {costs.side}×{costs.side} cells")
    for axis in (upper.yaxis, right.yaxis):
        axis.set_major_formatter(EngFormatter(sep=" "))
        axis.set_minor_formatter(NullFormatter())
    params = frame.pivot_table("params", "k", "family")
    sns.lineplot(x=params.index, y=2 / params.index, color=style.PRINTED, linestyle="--", label="2/k", ax=lower)
    sns.scatterplot(x=params.index, y=params["gcn"] / params["conv"], color=style.GCN_COLOUR,
                        marker=style.MARKERS["gcn"], s=22, zorder=3, label="GCN / Conv", ax=lower)  # fmt: skip
    lower.set(xlabel="kernel size k", ylabel="share", ylim=(0, None), xticks=params.index)
    return figure


CLASSES, SIDE = 21, 16
SIZES = (3, 5, 7, 9, 11, 13, 15)


def compute() -> Costs:
    """Return parameters and multiply-adds of the heads after res-5 (Table 2), by closed forms."""
    from repro.paper.audit import closed_form

    kinds: dict[str, tuple[str, Callable[[int], HeadSpec]]] = {
        "gcn": ("GCN", GCN),
        "conv": ("Conv k × k", Conv),
        "stack": ("Stack, m = 2048", Stack),
    }
    heads = []
    for family, (name, make) in kinds.items():
        found = [closed_form.layers(make(k), PAPER_CHANNELS, CLASSES, SIDE) for k in SIZES]
        params = tuple(sum(layer.params for layer in layers) for layers in found)
        macs = tuple(sum(layer.macs for layer in layers) for layers in found)
        heads.append(Head(family, name, SIZES, params, macs))
    return Costs(PAPER_CHANNELS, CLASSES, SIDE, tuple(heads))
