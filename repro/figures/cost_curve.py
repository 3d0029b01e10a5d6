"""Beside Table 2: parameters and multiply-adds of GCN, Conv and Stack against k, with the line of 2/k."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.config.networks import GCN, PAPER_CHANNELS, Conv, Stack
from repro.config.networks import Head as HeadSpec
from repro.figures import style
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


FIGURE = FigureSpec(
    number=0,
    name="cost_curve",
    title="Cost against the kernel size",
    draw="cost_curve",
)


@dataclass(frozen=True)
class Head:
    """One kind of head at several kernel sizes."""

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
    from matplotlib.ticker import EngFormatter, NullFormatter

    figure, (upper, lower) = style.page(3.5, 2, 1, sharex=True, height_ratios=(1.5, 1))
    for head in costs.heads:
        colour = style.FAMILIES[head.family]
        upper.plot(head.k, head.params, style.MARKERS[head.family] + "-", color=colour)
        upper.annotate(head.name, (head.k[-1], head.params[-1]), (0, -11), textcoords="offset points", ha="right",
                       va="top", color=colour)  # fmt: skip
    upper.set_yscale("log")
    upper.set_ylabel("parameters")
    cells = costs.side**2
    assert all(m == p * cells for head in costs.heads for p, m in zip(head.params, head.macs, strict=True))
    right = upper.secondary_yaxis("right", functions=(lambda p: p * cells, lambda m: m / cells))
    right.set_ylabel(f"multiply-adds, {costs.side}×{costs.side} cells")
    for axis in (upper.yaxis, right.yaxis):
        axis.set_major_formatter(EngFormatter(sep=" "))
        axis.set_minor_formatter(NullFormatter())
    upper.set_ylim(bottom=min(head.params[0] for head in costs.heads) / 3)
    style.letter(upper, f"Heads after res-5: {costs.channels} → {costs.classes}")
    _share(lower, {head.family: head for head in costs.heads})
    return figure


def _share(axes: Axes, heads: dict[str, Head]) -> None:
    gcn, conv = heads["gcn"], heads["conv"]
    share = [a / b for a, b in zip(gcn.params, conv.params, strict=True)]
    axes.plot(gcn.k, [2 / k for k in gcn.k], "--", color=style.PRINTED, label="2/k")
    axes.plot(gcn.k, share, style.MARKERS["gcn"], color=style.GCN_COLOUR, label="GCN / Conv")
    axes.set(xlabel="kernel size k", ylabel="share", ylim=(0, None))
    axes.set_xticks(gcn.k)
    axes.legend(borderaxespad=0.2)


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
