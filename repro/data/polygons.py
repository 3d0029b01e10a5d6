"""Outlines as polygons of integers, and their exact rasterisation: the same pixels on every machine."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.int64]  # (v, 2): x, y

ONE: Final = 256  # one pixel; vertices lie on this fraction of a pixel
TURN: Final = 720  # steps in one turn
_UNIT: Final = 1024  # side of the square whose area every outline has
_SINE_BITS: Final = 14
SINE: Final = np.array(
    [round(2**_SINE_BITS * math.sin(2 * math.pi * step / TURN)) for step in range(TURN)], dtype=np.int64
)
COSINE: Final = np.roll(SINE, -TURN // 4)


def _ring(corners: int, *, inner: int = 100, wide: int = 100) -> Points:
    """Regular polygon; `inner` < 100 pulls every second corner in, `wide` > 100 stretches x (both in per cent)."""
    turn = np.arange(corners) * TURN // corners
    radius = np.where(np.arange(corners) % 2, inner, 100)
    return np.stack([COSINE[turn] * radius * wide // 100, SINE[turn] * radius], axis=1)


def _table(*points: tuple[int, int]) -> Points:
    """Polygon with the given corners, its middle moved to the origin."""
    corners = np.array(points, dtype=np.int64) * 2**_SINE_BITS
    middle: Points = (corners.min(axis=0) + corners.max(axis=0)) // 2
    return corners - middle


def _unit_area(points: Points) -> Points:
    """Scale to the area of a `_UNIT` x `_UNIT` square, so that size never tells the class."""
    x, y = points.T
    twice = abs(int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()))
    scaled: Points = points * _UNIT * 1024 // math.isqrt(twice * 2**19)
    return scaled


OUTLINES: Final[dict[str, Points]] = {
    name: _unit_area(points)
    for name, points in {
        "disc": _ring(40),
        "square": _ring(4),
        "bar": _table((0, 0), (22, 0), (22, 10), (0, 10)),
        "triangle": _ring(3),
        "star": _ring(10, inner=45),
        "cross": _table(
            (3, 0), (7, 0), (7, 3), (10, 3), (10, 7), (7, 7), (7, 10), (3, 10), (3, 7), (0, 7), (0, 3), (3, 3)
        ),
        "ellipse": _ring(40, wide=210),
        "pentagon": _ring(5),
        "hexagon": _ring(6),
        "rhombus": _ring(4, wide=200),
        "dart": _ring(4, inner=40),
        "asterisk": _ring(12, inner=50),
        "cog": _ring(16, inner=70),
        "tee": _table((0, 0), (10, 0), (10, 4), (7, 4), (7, 10), (3, 10), (3, 4), (0, 4)),
        "ell": _table((0, 0), (4, 0), (4, 6), (10, 6), (10, 10), (0, 10)),
        "zed": _table((0, 0), (7, 0), (7, 6), (11, 6), (11, 10), (4, 10), (4, 4), (0, 4)),
        "arch": _table((0, 0), (10, 0), (10, 10), (7, 10), (7, 4), (3, 4), (3, 10), (0, 10)),
        "arrow": _table((0, 3), (6, 3), (6, 0), (11, 5), (6, 10), (6, 7), (0, 7)),
        "wedge": _table((0, 0), (10, 0), (0, 10)),
        "trapezium": _table((3, 0), (9, 0), (12, 8), (0, 8)),
    }.items()
}


def place(outline: Points, centre: tuple[int, int], side: int, turn: int) -> Points:
    """Turn by `turn` of `TURN`, give it the area `side`**2 and move it to `centre` (x, y); all in 1/`ONE` pixel."""
    x, y = outline.T
    turned = np.stack([x * COSINE[turn] - y * SINE[turn], x * SINE[turn] + y * COSINE[turn]], axis=1)
    return (turned >> _SINE_BITS) * side // _UNIT + np.array(centre, dtype=np.int64)


def coarsen(points: Points, grid: int) -> Points:
    """Move every vertex to the nearest node of a square grid of `grid`/`ONE` pixels: coarse annotation."""
    return (points + grid // 2) // grid * grid


def fill(points: Points, height: int, width: int = 0) -> NDArray[np.bool_]:
    """Pixels (height, width) whose centre lies inside the polygon, by the even-odd rule; width 0: a square."""
    width = width or height
    x0, y0 = points.T
    x1, y1 = np.roll(points, -1, axis=0).T
    y = np.arange(height)[:, None] * ONE + ONE // 2
    row, edge = np.nonzero((y0 <= y) != (y1 <= y))
    x0, y0, x1, y1, y = x0[edge], y0[edge], x1[edge], y1[edge], y[row, 0]
    crossing = x0 + (y - y0) * (x1 - x0) // (y1 - y0)
    column = np.clip((crossing + ONE // 2 - 1) // ONE, 0, width)
    toggles = np.bincount(row * (width + 1) + column, minlength=height * (width + 1))
    inside = np.cumsum(toggles.reshape(height, width + 1), axis=1)[:, :width] % 2
    return inside.astype(np.bool_)
