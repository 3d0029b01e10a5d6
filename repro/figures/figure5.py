"""Figure 5: the bottleneck of ResNet and the GCN block of ResNet-GCN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from repro.figures.canvas import Box, Canvas, canvas
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro.figures.network_diagram import Block


FIGURE = FigureSpec(5, "figure5", "Bottleneck and ResNet-GCN block")


HIGH, PITCH = 0.41, 0.54
MAP = 0.68
COLUMN = 0.74
GAP = 0.09
"""Extra space above the last convolution, where the branches join."""


def draw(pairs: Sequence[tuple[Block, Block]]) -> Figure:
    """Draw the first pair (bottleneck, ResNet-GCN block); list the sizes of every pair beneath.

    Args:
        pairs: one for each stage, the most different one first.
    """
    bottleneck, gcn = pairs[0]
    depth = max(len(branch) for block in (bottleneck, gcn) for branch in block.branches)
    page = canvas(1.27 + (depth + 1) * PITCH + GAP + 0.29 * len(pairs))
    top = page.axes.get_ylim()[1]
    page.title(0.05, top - 0.12, f"A  Bottleneck, {bottleneck.stage}")
    page.title(1.38, top - 0.12, f"B  ResNet-GCN block, {gcn.stage}")
    _block(page, bottleneck, 0.39, (0.94,), top - 0.37, depth)
    _block(page, gcn, 1.72, (2.14, 2.14 + COLUMN + 0.03), top - 0.37, depth)
    _list(page, pairs, 0.29 * len(pairs) - 0.06)
    return page.figure


def _block(page: Canvas, block: Block, shortcut: float, xs: tuple[float, ...], top: float, depth: int) -> None:
    """Draw one block: the shortcut at the left, the branches to the right."""
    source = page.box(Box(shortcut, top, MAP, 0.22), (block.features.text,), "features", bold=False)
    last = [source] * len(block.branches)
    fill = "gcn" if len(block.branches) > 1 else "base"
    for n, branch in enumerate(block.branches):
        for i, layer in enumerate(branch):
            box = Box(xs[n], top - (i + 1) * PITCH * depth / len(branch), COLUMN, HIGH)
            page.box(box, (layer.kernel, layer.channels.replace(" ", ""), "BN, ReLU"), fill)
            if i == 0:
                page.arrow(source.right, (box.x, source.y), box.top)
            else:
                page.arrow(last[n].bottom, box.top)
            last[n] = box
    middle = sum(xs[: len(last)]) / len(last)
    joined = Box(middle, top - (depth + 1) * PITCH - GAP, COLUMN, HIGH)
    page.box(joined, (block.last.kernel, block.last.channels.replace(" ", ""), "BN"), fill)
    _join(page, last, joined, block.join)
    _sum(page, block, joined, shortcut, source)


def _join(page: Canvas, last: list[Box], joined: Box, how: str) -> None:
    """Draw the arrows from the branches to the convolution that joins them."""
    middle = joined.top[1] + 0.17
    for box in last:
        if len(last) == 1:
            page.arrow(box.bottom, joined.top)
        else:
            page.arrow(box.bottom, (box.x, middle), (joined.x, middle), joined.top)
    if how:
        page.text(joined.x + 0.05, joined.top[1] + 0.08, how, ha="left")


def _sum(page: Canvas, block: Block, joined: Box, x: float, source: Box) -> None:
    """Draw the sum with the shortcut and the output map."""
    line = x - 0.12
    plus = page.box(Box(line, joined.bottom[1] - 0.14, 0.15, 0.15), ("+",), "sum", bold=False)
    page.arrow((line, source.bottom[1]), plus.top)
    page.arrow(joined.bottom, (joined.x, plus.y), plus.right)
    out = page.box(Box(x, plus.y - 0.32, MAP, 0.22), (block.out.text,), "features", bold=False)
    page.arrow(plus.bottom, (line, out.top[1]))


def _list(page: Canvas, pairs: Sequence[tuple[Block, Block]], y: float) -> None:
    """List kernel, channels and the weights of both blocks by stage."""
    for bottleneck, gcn in pairs:
        kernel = max(layer.height for branch in gcn.branches for layer in branch)
        width = gcn.branches[0][-1].out_channels
        page.text(0.05, y, f"{gcn.stage}: k = {kernel}, m' = {width}", bold=True, ha="left")
        page.text(0.05, y - 0.13, f"weights: A {bottleneck.params:,}, B {gcn.params:,}", ha="left")
        y -= 0.3


def compute() -> tuple[tuple[Block, Block], ...]:
    """Return the pairs of blocks in which ResNet-50 and ResNet50-GCN differ (Table 11)."""
    from repro.figures.network_diagram import block

    return tuple((block("resnet50", stage), block("resnet50_gcn", stage)) for stage in ("res5", "res4"))
