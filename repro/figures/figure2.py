"""Figure 2: the whole pipeline with its sizes (A), GCN (B) and BR (C), read off the built network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.config.networks import GCN, Model
from repro.figures.canvas import Box, Canvas, canvas
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from repro.figures.network_diagram import Head, Layer, Map, Pipeline, Stage
    from repro.models.network import Network


FIGURE = FigureSpec(
    number=2,
    name="figure2",
    title="The whole pipeline, GCN and boundary refinement",
    draw="figure2",
)


HIGH, WIDE = 0.3, 0.78
GAP = 0.1
SMALL = 0.26
"""Side of a BR or a sum."""
LEFT, HEAD, BR, SUM, BR2 = 0.45, 1.4, 2.1, 2.58, 3.03
UP = (SUM + BR2) / 2
PITCH = HIGH + SMALL + 2 * GAP + 0.02
STEP = GAP + 0.02
FOOT = HIGH / 2 + 0.08


def draw(plan: Pipeline) -> Figure:
    """Draw the pipeline from the lowest stage up, then its two blocks beneath it."""
    blocks = _blocks_height(plan)
    height = blocks + _pipeline_height(plan)
    page = canvas(height)
    _pipeline(page, plan, blocks)
    lowest = plan.stages[0]
    page.title(0.05, blocks - 0.12, f"B  {lowest.head.name} of {lowest.name}")
    _head(page, lowest.head, blocks - 0.25)
    if plan.refinement:
        page.title(2.0, blocks - 0.12, "C  BR block")
        _refinement(page, plan, blocks - 0.25)
    return page.figure


def _pipeline_height(plan: Pipeline) -> float:
    """Return the inches of part A: the higher of the backbone's column and the score map's, and a title."""
    backbone = (len(plan.stages) + 1) * PITCH + HIGH / 2
    tail = sum(STEP + HIGH + step.refined * (GAP + SMALL) for step in plan.tail)
    return FOOT + max(backbone, (len(plan.stages) - 1) * PITCH + SMALL / 2 + tail) + 0.26


def _blocks_height(plan: Pipeline) -> float:
    deepest = max(len(branch) for branch in plan.stages[0].head.branches)
    return 0.25 + (deepest + 2) * (HIGH + 0.14) + 0.1


def _pipeline(page: Canvas, plan: Pipeline, bottom: float) -> None:
    """Draw part A: backbone to the left, heads beside it, the score maps' way up to the right."""
    top = page.axes.get_ylim()[1]
    page.title(0.05, top - 0.12, "A  Whole pipeline")
    y = bottom + FOOT
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
    """Draw one stage; return the box from which its score map goes up."""
    y = features.y
    last = page.box(Box(HEAD, y, WIDE, HIGH), (stage.head.name, stage.head.score.text), "gcn")
    page.arrow(features.right, last.left)
    if stage.refined_head:
        last = _then(page, last, Box(BR, y, SMALL, SMALL), "BR", "refine")
    if below is None:
        return last
    joined = _then(page, last, Box(SUM, y, SMALL * 0.8, SMALL * 0.8), "+", "sum")
    if stage.up is not None:
        up = page.box(Box(UP, y - PITCH / 2, WIDE, HIGH), ("deconv", stage.up.text), "deconv")
        _rise(page, below, up)
        page.arrow((joined.x, up.top[1]), joined.bottom)
    elif below.x > joined.x:
        page.arrow(below.top, (below.x, y - PITCH / 2), (joined.x, y - PITCH / 2), joined.bottom)
    else:
        _rise(page, below, joined)
    return _then(page, joined, Box(BR2, y, SMALL, SMALL), "BR", "refine") if stage.refined_sum else joined


def _then(page: Canvas, before: Box, box: Box, text: str, fill: str) -> Box:
    page.box(box, (text,), fill, bold=False)
    page.arrow(before.right, box.left)
    return box


def _rise(page: Canvas, below: Box, above: Box) -> None:
    """Lead a score map up into a box: straight where it stands under it, else around the corner."""
    if abs(below.x - above.x) < above.width / 2:
        page.arrow(below.top, (below.x, above.bottom[1]))
    else:
        page.arrow(below.right, (above.x, below.y), above.bottom)


def _tail(page: Canvas, plan: Pipeline, below: Box) -> None:
    """Draw the steps from the highest stage to the full size."""
    last = below
    for step in plan.tail:
        y = last.top[1] + STEP + HIGH / 2
        up = page.box(Box(UP, y, WIDE, HIGH), ("deconv", step.out.text), "deconv")
        _rise(page, last, up)
        last = up
        if step.refined:
            last = Box(UP, up.top[1] + GAP + SMALL / 2, SMALL, SMALL)
            page.box(last, ("BR",), "refine", bold=False)
            page.arrow(up.top, last.bottom)
    score = page.box(Box(HEAD, last.y, WIDE, HIGH), ("score map", plan.tail[-1].out.text), "image")
    page.arrow(last.left, score.right)


def _lines(layer: Layer) -> tuple[str, str]:
    return f"{layer.height}×{layer.width} conv", layer.channels


def _head(page: Canvas, head: Head, top: float) -> None:
    """Draw part B: the branches of the head side by side."""
    pitch, wide = HIGH + 0.14, 0.82
    middle = 0.95
    xs = [middle + (i - (len(head.branches) - 1) / 2) * 0.92 for i in range(len(head.branches))]
    y = top - HIGH / 2
    source = page.box(Box(middle, y, wide, HIGH * 0.75), (head.features.text,), "features", bold=False)
    last = [source] * len(xs)
    for branch, x in enumerate(xs):
        for n, layer in enumerate(head.branches[branch]):
            box = page.box(Box(x, y - (n + 1) * pitch, wide, HIGH), _lines(layer), "gcn", bold=False)
            _down(page, last[branch], box)
            last[branch] = box
    depth = max(len(branch) for branch in head.branches)
    text = ("sum, " if len(xs) > 1 else "") + head.score.text
    total = page.box(Box(middle, y - (depth + 1) * pitch, wide + 0.12, HIGH * 0.75), (text,), "sum", bold=False)
    for box in last:
        _down(page, box, total)


def _down(page: Canvas, above: Box, below: Box) -> None:
    """Lead from one box to a lower one, by two corners where they do not stand under each other."""
    if abs(above.x - below.x) < 1e-6:  # noqa: PLR2004 - the same place
        page.arrow(above.bottom, below.top)
        return
    middle = (above.bottom[1] + below.top[1]) / 2
    page.arrow(above.bottom, (above.x, middle), (below.x, middle), below.top)


def _refinement(page: Canvas, plan: Pipeline, top: float) -> None:
    """Draw part C: the identity to the left, the residual branch to the right."""
    pitch, wide = HIGH + 0.14, 0.72
    score = plan.stages[0].head.score
    y = top - HIGH / 2
    source = page.box(Box(2.38, y, 0.56, HIGH * 0.75), (f"h×w×{score.channels}",), "features", bold=False)
    last = source
    for n, layer in enumerate(plan.refinement):
        kernel, channels = _lines(layer)
        relu = " + ReLU" if n < len(plan.refinement) - 1 else ""
        box = page.box(Box(2.88, y - (n + 1) * pitch, wide, HIGH), (kernel.replace(" conv", relu or " conv"), channels),
                       "refine", bold=False)  # fmt: skip
        if n == 0:
            page.arrow(source.right, (box.x, source.y), box.top)
        else:
            page.arrow(last.bottom, box.top)
        last = box
    bottom = y - (len(plan.refinement) + 1) * pitch
    total = page.box(Box(2.38, bottom, 0.56, HIGH * 0.75), ("sum",), "sum", bold=False)
    page.arrow((source.x - 0.12, source.bottom[1]), (source.x - 0.12, total.top[1]))
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
