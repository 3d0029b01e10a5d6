"""Figure 4: the four heads side by side, between the same features and the same score map, with their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from repro.render.figures import style
from repro.render.figures.blueprint import FigureError, Head, Layer
from repro.render.figures.canvas import Box, Canvas, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HIGH, WIDE, PITCH = 0.3, 0.64, 0.42
EDGE, APART = 0.03, 0.03


def draw(heads: Sequence[Head]) -> Figure:
    """Draw heads on the same features, each branch a column; the counts of weights stand beneath.

    Raises:
        FigureError: the heads have other features or another score map.
    """
    if len({(head.features, head.score) for head in heads}) != 1:
        msg = "figure4: the heads must stand on the same features; build them with the same channels and size"
        raise FigureError(msg)
    depth = max(len(branch) for head in heads for branch in head.branches)
    page = canvas(1.47 + depth * PITCH)
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
    page.text(middle, 0.1, "(number of weights, without biases)")
    return page.figure


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
