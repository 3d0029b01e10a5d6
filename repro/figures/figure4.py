"""Figure 4: the four heads, GCN, 1 x 1, k x k and the stack of 3 x 3, with the shapes of their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from repro.config.errors import FigureError
from repro.config.networks import GCN, Conv, Conv1x1, Stack
from repro.figures import style
from repro.figures.canvas import Box, Canvas, canvas
from repro.paper.schema import Figure as FigureSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro.figures.network_diagram import Head, Layer


FIGURE = FigureSpec(4, "figure4", "The four heads")


HIGH, WIDE, PITCH = 0.3, 0.64, 0.42
EDGE, APART = 0.03, 0.03


def draw(heads: Sequence[Head]) -> Figure:
    """Draw heads on the same features, a column for each branch, numbers of weights at the bottom.

    Raises:
        FigureError: the heads have other features or another score map.
    """
    if len({(head.features, head.score) for head in heads}) != 1:
        msg = "figure4: the heads must stand on the same features; build them with the same channels and size"
        raise FigureError(msg)
    depth = max(len(branch) for head in heads for branch in head.branches)
    page = canvas(1.6 + depth * PITCH)
    top = page.axes.get_ylim()[1] - 0.2
    middle = style.WIDTH / 2
    source = Box(middle, top, style.WIDTH - 2 * EDGE, 0.22)
    page.box(source, (f"features of res-5, {heads[0].features.text}",), "features", bold=False)
    score = Box(middle, top - (depth + 1) * PITCH - 0.14, source.width, 0.22)
    page.box(score, (f"score map, {heads[0].score.text}",), "features", bold=False)
    columns = sum(len(head.branches) for head in heads)
    pitch = (source.width - (len(heads) - 1) * APART) / columns
    left = EDGE
    for letter, head in zip("ABCDEFGH", heads, strict=False):
        _head(page, letter, head, (left, pitch), (source, score))
        left += pitch * len(head.branches) + APART
    page.text(middle, 0.23, "numbers of weights, without biases")
    page.text(middle, 0.1, _sizes(heads))
    return page.figure


def _sizes(heads: Sequence[Head]) -> str:
    """Return the paper's k, n and m: kernel size, convolutions of a stack and the channels between them."""
    kernels = {layer.height for head in heads for branch in head.branches for layer in branch}
    stacks = [head.branches[0] for head in heads if head.name.startswith("stack")]
    return "; ".join((f"k = {max(kernels)}", *(f"stack: n = {len(s)}, m = {s[0].out_channels}" for s in stacks)))


def _head(page: Canvas, letter: str, head: Head, place: tuple[float, float], ends: tuple[Box, Box]) -> None:
    """Draw one head in its columns, from the features down to the score map."""
    left, pitch = place
    source, score = ends
    middle = left + pitch * len(head.branches) / 2
    plus = Box(middle, score.top[1] + 0.17, 0.15, 0.15)
    for n, branch in enumerate(head.branches):
        x = left + pitch * (n + 0.5)
        room = source.bottom[1], score.top[1] + 0.3
        last = _branch(page, branch, Box(x, 0, min(WIDE, pitch - 0.02), HIGH), room, head.name.partition("-")[0])
        if len(head.branches) == 1:
            page.arrow(last.bottom, (x, score.top[1]))
        else:
            page.arrow(last.bottom, (x, plus.y), plus.left if x < middle else plus.right)
    if len(head.branches) > 1:
        page.box(plus, ("+",), "sum", bold=False)
        page.arrow(plus.bottom, (middle, score.top[1]))
    page.text(middle, score.bottom[1] - 0.14, f"{letter}  {_name(head)}", bold=True)
    page.text(middle, score.bottom[1] - 0.29, _params(head))


def _branch(page: Canvas, branch: Sequence[Layer], like: Box, room: tuple[float, float], fill: str) -> Box:
    """Draw a chain of convolutions, evenly in the room from top to bottom; return its last box."""
    top, bottom = room
    last = Box(like.x, top, 0, 0)
    for i, layer in enumerate(branch):
        y = top - 0.06 - (top - bottom) / len(branch) * (i + 0.5)
        box = page.box(Box(like.x, y, like.width, like.height), (layer.kernel, layer.channels.replace(" ", "")), fill)
        page.arrow(last.bottom, box.top)
        last = box
    return last


def _name(head: Head) -> str:
    names = {"gcn": "GCN", "base": "1 × 1", "conv": "Conv", "stack": "Stack"}
    return names[head.name.partition("-")[0]]


def _params(head: Head) -> str:
    """Return the number of weights with three digits, such as ``608 k``."""
    value = head.params
    return f"{value / 1e6:.3g} M" if value >= 1e6 else f"{value / 1e3:.3g} k"  # noqa: PLR2004 - a million


def compute() -> tuple[Head, ...]:
    """Return the four heads after res-5 at k = 7, where Tables 2 to 4 compare all of them."""
    from repro.figures.network_diagram import Map, head

    features = Map(2048, 16, 16)
    return tuple(head(spec, features) for spec in (GCN(7), Conv1x1(), Conv(7), Stack(7)))
