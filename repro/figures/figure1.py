"""Figure 1: a classification network, a conventional segmentation network and GCN, as shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from repro.config.networks import GCN, Classifier, Conv1x1, Model
from repro.figures import style
from repro.figures.canvas import Box, Canvas, canvas
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro.figures.network_diagram import Map, Shape


FIGURE = FigureSpec(1, "figure1", "Classification, conventional segmentation, GCN")


HEIGHT = 2.35
WIDE = 0.92
ROW = 0.17
"""Height of one stage in the stack of maps."""
CELLS, OUT = 0.86, 0.5
"""Heights, in inches, of the row of cells and of the outputs."""


def draw(shapes: Sequence[Shape]) -> Figure:
    """Draw the networks side by side, images at the top, outputs at the bottom."""
    page = canvas(HEIGHT)
    pitch = style.WIDTH / len(shapes)
    for n, shape in enumerate(shapes):
        _network(page, shape, pitch * (n + 0.5), "ABCDEFGH"[n])
    return page.figure


def _network(page: Canvas, shape: Shape, x: float, letter: str) -> None:
    page.text(x, HEIGHT - 0.12, f"{letter}  {shape.title}", bold=True)
    image = page.box(
        Box(x, HEIGHT - 0.36, WIDE, 0.22), (f"image {shape.image.height}×{shape.image.width}",), "image", bold=False
    )
    y = image.bottom[1] - 0.06
    for number, features in enumerate(shape.features):
        _stage(page, shape, number, features, (x, y))
        y -= ROW
    _dots(page, shape, x)
    page.text(x, OUT - 0.16, _out(shape))
    page.text(x, OUT - 0.3, _sees(shape))


def _stage(page: Canvas, shape: Shape, number: int, features: Map, place: tuple[float, float]) -> None:
    """Draw the map of one stage as a slab of a cone, which is as wide at its end as the row of cells beneath."""
    x, y = place
    low, high = (WIDE - (WIDE - _end(shape)) * n / len(shape.features) for n in (number + 1, number))
    corners = [(x - high / 2, y), (x + high / 2, y), (x + low / 2, y - ROW), (x - low / 2, y - ROW)]
    page.axes.fill(*zip(*corners, strict=True), facecolor=style.FILLS["features"], edgecolor=style.INK, linewidth=0.6)
    page.text(x, y - ROW / 2, f"{features.height}×{features.width}")


def _end(shape: Shape) -> float:
    return 0.76 if shape.reach else 0.42


def _dots(page: Canvas, shape: Shape, x: float) -> None:
    """Draw a row of the last feature map, the outputs, and a line from each output to each cell that it sees."""
    cells = shape.features[-1].width
    outs = shape.out.width
    pitch = (_end(shape) - 0.06) / max(cells - 1, 1)
    above = [x + (i - (cells - 1) / 2) * pitch for i in range(cells)]
    below = [x + (i - (outs - 1) / 2) * pitch for i in range(outs)]
    for o, right in enumerate(below):
        colour, width, order = (_colour(shape), 0.7, 1.2) if o == outs // 2 else ("#CCD6DC", 0.3, 1.0)
        for i, left in enumerate(above):
            if not shape.reach or abs(i - o) <= shape.reach // 2:
                page.axes.plot((left, right), (CELLS, OUT), color=colour, linewidth=width, zorder=order)
    page.axes.plot(above, [CELLS] * cells, "o", color="white", markeredgecolor=style.INK, markersize=2.6,
                   markeredgewidth=0.5)  # fmt: skip
    page.axes.plot(below, [OUT] * outs, "o", color=_colour(shape), markersize=2.6)


def _colour(shape: Shape) -> str:
    """Return the colour of the network; that of the baseline for a classifier."""
    return style.GCN_COLOUR if shape.reach > 1 else style.BASE


def _out(shape: Shape) -> str:
    size = "" if shape.reach == 0 else f"{shape.out.height}×{shape.out.width}×"
    return f"{size}{shape.out.channels} scores"


def _sees(shape: Shape) -> str:
    cells = shape.features[-1]
    if not shape.reach:
        return f"sees all {cells.height}×{cells.width} cells"
    return f"sees {shape.reach}×{shape.reach} cell{'s' if shape.reach > 1 else ''}"


def shape(title: str, model: Model | Classifier, num_classes: int, size: int) -> Shape:
    """Return one network of Figure 1; a classifier pools, so one output sees every cell."""
    from repro.figures.network_diagram import Map, Shape, branches, traced
    from repro.models import build
    from repro.models.network import STAGES, ClassifierNet, Network

    image = Map(3, size, size)
    net, seen = traced(lambda: build(model, num_classes), image)
    assert isinstance(net, Network | ClassifierNet)
    features = tuple(seen[part] for part in (net.backbone.conv1, *net.backbone.stages.values()))
    if isinstance(net, ClassifierNet):
        return Shape(title, image, features, Map(net.fc.out_features, 1, 1), 0)
    deepest = branches(net.head[STAGES[-1]])
    reach = 1 + max(sum(part.width - 1 for part in chain) for chain in deepest)
    return Shape(title, image, features, seen[net.head[STAGES[-1]]], reach)


def compute() -> tuple[Shape, ...]:
    """Return the three networks of Figure 1 at the image sizes of the paper."""
    return (
        shape("Classification", Classifier("resnet152"), 1000, 224),
        shape("Conventional", Model(Conv1x1()), 21, 512),
        shape("GCN, k = 15", Model(GCN(15)), 21, 512),
    )
