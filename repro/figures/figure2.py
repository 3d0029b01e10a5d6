"""Figure 2: the whole pipeline with its sizes (A), GCN (B) and BR (C), taken from the built network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.config.networks import GCN, Model
from repro.figures import style
from repro.figures.canvas import Box, Canvas, canvas
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from repro.figures.network_diagram import Head, Layer, Map, Pipeline, Stage
    from repro.models.network import Network


FIGURE = FigureSpec(2, "figure2", "The whole pipeline, GCN and boundary refinement")


HIGH, WIDE = 0.3, 0.76
SMALL = 0.26
"""Side of a BR or a sum."""
LEFT, HEAD, BR, SUM, BR2, UP = 0.43, 1.32, 1.92, 2.32, 2.72, 3.36
"""Columns of part A."""
BRANCHES, BRANCH, RESIDUAL = 4.74, 0.86, 6.23
"""Middle of part B, distance of its columns, middle of part C."""
GAP = 0.12
PITCH = 0.52
FOOT, TITLE = 0.23, 0.3


def draw(plan: Pipeline) -> Figure:
    """Draw the pipeline from the lowest stage up, and its two blocks to its right."""
    tail = sum(step.refined * (GAP + SMALL) for step in plan.tail) + (len(plan.tail) - 1) * (GAP + HIGH)
    rows = (len(plan.stages) - 1) * PITCH
    height = FOOT + rows + max(2 * PITCH, tail) + HIGH / 2 + TITLE
    page = canvas(height, style.PAGE if plan.refinement else RESIDUAL - WIDE)
    page.title(0.05, height - 0.12, "A  Whole pipeline")
    _pipeline(page, plan)
    lowest = plan.stages[0]
    page.title(BRANCHES - BRANCH, height - 0.12, f"B  {lowest.head.name} of {lowest.name}")
    _head(page, lowest.head)
    if plan.refinement:
        page.title(RESIDUAL - 0.6, height - 0.12, "C  BR block")
        _refinement(page, plan)
    return page.figure


def _pipeline(page: Canvas, plan: Pipeline) -> None:
    """Draw part A: backbone, heads, then the upward path of the score maps."""
    y = FOOT
    below: Box | None = None
    features: Box | None = None
    for stage in plan.stages:
        box = page.box(Box(LEFT, y, WIDE, HIGH), (stage.name, stage.head.features.text), "features")
        if features is not None:
            page.arrow(box.bottom, features.top)
        below, features = _row(page, stage, box, below), box
        y += PITCH
    assert features is not None
    assert below is not None
    stem = page.box(Box(LEFT, y, WIDE, HIGH), ("conv-1", plan.stem.text), "features")
    page.arrow(stem.bottom, features.top)
    image = page.box(Box(LEFT, y + PITCH, WIDE, HIGH), ("image", plan.image.text), "image")
    page.arrow(image.bottom, stem.top)
    _tail(page, plan, below)


def _row(page: Canvas, stage: Stage, features: Box, below: Box | None) -> Box:
    """Draw one stage; return the box of its score map."""
    y = features.y
    last = page.box(Box(HEAD, y, WIDE, HIGH), (stage.head.name, stage.head.score.text), "gcn")
    page.arrow(features.right, last.left)
    if stage.refined_head:
        last = _then(page, last, Box(BR, y, SMALL, SMALL), "BR", "refine")
    if below is None:
        return last
    joined = _then(page, last, Box(SUM, y, SMALL * 0.8, SMALL * 0.8), "+", "sum")
    bend = (UP, y - PITCH / 2), (SUM, y - PITCH / 2), joined.bottom
    if stage.up is not None:
        page.arrow(_deconv(page, below, stage.up).top, *bend)
    else:
        page.arrow(below.right, (UP, below.y), *bend)
    return _then(page, joined, Box(BR2, y, SMALL, SMALL), "BR", "refine") if stage.refined_sum else joined


def _deconv(page: Canvas, before: Box, out: Map) -> Box:
    up = page.box(Box(UP, before.y, WIDE, HIGH), ("deconv", out.text), "deconv")
    page.arrow(before.right, up.left)
    return up


def _then(page: Canvas, before: Box, box: Box, text: str, fill: str) -> Box:
    page.box(box, (text,), fill, bold=False)
    page.arrow(before.right, box.left)
    return box


def _tail(page: Canvas, plan: Pipeline, below: Box) -> None:
    """Draw the steps from the highest stage to the full size: the first in its row, the others above."""
    last = below
    for n, step in enumerate(plan.tail):
        if n == 0:
            last = _deconv(page, last, step.out)
        else:
            last = _above(page, last, Box(UP, 0, WIDE, HIGH), ("deconv", step.out.text), "deconv")
        if step.refined:
            last = _above(page, last, Box(UP, 0, SMALL, SMALL), ("BR",), "refine")
    score = page.box(Box(BR, last.y, WIDE, HIGH), ("score map", plan.tail[-1].out.text), "image")
    page.arrow(last.left, score.right)


def _above(page: Canvas, last: Box, like: Box, lines: tuple[str, ...], fill: str) -> Box:
    y = last.top[1] + GAP + like.height / 2
    box = page.box(Box(like.x, y, like.width, like.height), lines, fill, bold=len(lines) > 1)
    page.arrow(last.top, box.bottom)
    return box


def _lines(layer: Layer) -> tuple[str, str]:
    return f"{layer.height}×{layer.width} conv", layer.channels


def _levels(page: Canvas, count: int) -> list[float]:
    """Return the heights of ``count`` boxes under each other in parts B and C, evenly down the page."""
    top = page.axes.get_ylim()[1] - TITLE - HIGH / 2
    return [top - (top - FOOT) * n / (count - 1) for n in range(count)]


def _head(page: Canvas, head: Head) -> None:
    """Draw part B: the branches of the head side by side."""
    wide = 0.8
    xs = [BRANCHES + (i - (len(head.branches) - 1) / 2) * BRANCH for i in range(len(head.branches))]
    first, *middle, bottom = _levels(page, 2 + max(len(branch) for branch in head.branches))
    source = page.box(Box(BRANCHES, first, wide, HIGH * 0.75), (head.features.text,), "features", bold=False)
    last = [source] * len(xs)
    for branch, x in enumerate(xs):
        for layer, y in zip(head.branches[branch], middle, strict=False):
            box = page.box(Box(x, y, wide, HIGH), _lines(layer), "gcn", bold=False)
            _down(page, last[branch], box)
            last[branch] = box
    text = ("sum, " if len(xs) > 1 else "") + head.score.text
    total = page.box(Box(BRANCHES, bottom, wide + 0.12, HIGH * 0.75), (text,), "sum", bold=False)
    for box in last:
        _down(page, box, total)


def _down(page: Canvas, above: Box, below: Box) -> None:
    """Draw an arrow from one box to a lower one, with two corners unless it is straight below."""
    if abs(above.x - below.x) < 1e-6:  # noqa: PLR2004 - the same place
        page.arrow(above.bottom, below.top)
        return
    middle = (above.bottom[1] + below.top[1]) / 2
    page.arrow(above.bottom, (above.x, middle), (below.x, middle), below.top)


def _refinement(page: Canvas, plan: Pipeline) -> None:
    """Draw part C: the identity to the left, the residual branch to the right."""
    first, *middle, bottom = _levels(page, 2 + len(plan.refinement))
    left, right = RESIDUAL - 0.3, RESIDUAL + 0.24
    text = f"h×w×{plan.stages[0].head.score.channels}"
    source = page.box(Box(left, first, 0.56, HIGH * 0.75), (text,), "features", bold=False)
    last = source
    for n, (layer, y) in enumerate(zip(plan.refinement, middle, strict=True)):
        kernel, channels = _lines(layer)
        relu = " + ReLU" if n < len(plan.refinement) - 1 else " conv"
        box = page.box(Box(right, y, 0.72, HIGH), (kernel.replace(" conv", relu), channels), "refine", bold=False)
        page.arrow(*((source.right, (box.x, source.y)) if n == 0 else (last.bottom,)), box.top)
        last = box
    total = page.box(Box(left, bottom, 0.56, HIGH * 0.75), ("sum",), "sum", bold=False)
    page.arrow((left - 0.12, source.bottom[1]), (left - 0.12, total.top[1]))
    page.arrow(last.bottom, (last.x, total.y), total.right)


def pipeline(model: Model, num_classes: int = 21, size: tuple[int, int] = (512, 512)) -> Pipeline:
    """Return Figure 2 of a model, for images of ``size`` (height, width)."""
    from repro.figures.network_diagram import Doubling, Map, Pipeline, chain, traced
    from repro.models import build
    from repro.models.blocks import BoundaryRefinement
    from repro.models.network import STAGES, Network

    image = Map(3, *size)
    net, seen = traced(lambda: build(model, num_classes), image)
    assert isinstance(net, Network)
    refiner = next((part for part in net.modules() if isinstance(part, BoundaryRefinement)), None)
    return Pipeline(
        backbone=model.backbone,
        image=image,
        stem=seen[net.backbone.conv1],
        stages=tuple(_stage(net, seen, name) for name in reversed(STAGES)),
        tail=tuple(Doubling(seen[step[0]], _refines(step[1])) for step in net.tail.children()),  # type: ignore[index]
        refinement=chain(refiner) if refiner is not None else (),
    )


def _refines(module: nn.Module) -> bool:
    from repro.models.blocks import BoundaryRefinement

    return isinstance(module, BoundaryRefinement)


def _stage(net: Network, seen: dict[nn.Module, Map], name: str) -> Stage:
    from torch import nn

    from repro.figures.network_diagram import Head, Stage, branches
    from repro.models.blocks import GlobalConv

    module, features = net.head[name], seen[net.backbone.stages[name]]
    head = Head("GCN" if isinstance(module, GlobalConv) else "head", features, branches(module), seen[module])
    summed = name in net.up
    grows = summed and isinstance(net.up[name], nn.ConvTranspose2d)
    return Stage(
        name=name.replace("res", "res-"),
        head=head,
        up=seen[net.up[name]] if grows else None,
        refined_head=_refines(net.refine_head[name]),
        refined_sum=summed and _refines(net.refine_sum[name]),
    )


def compute() -> Pipeline:
    """Return the paper's network: ResNet-152, GCN k = 15 and BR, at 512 x 512."""
    return pipeline(Model(GCN(15), refine=True))
