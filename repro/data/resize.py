"""OpenCV's scaling of bytes as tables: source pixels and weights of each new pixel along an axis.

With them a batch is scaled on the device that holds its pixels, to the bytes that ``augment.scaled`` gives: images
enlarged bilinearly in fixed point (11 bits) and reduced by area in float32, labels by the nearest pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

ONE = 2048
"""Weight 1 of the fixed-point arithmetic."""
_NEAR = 1e-3  # OpenCV ignores a smaller part of a pixel at either end of an area
_KEPT = 4096

Weights = NDArray[np.int32 | np.float32]


@dataclass(frozen=True, eq=False)
class Taps:
    """Along one axis, new pixel ``i`` is the sum of the old ones ``index[:, i]`` times ``weight[:, i]``."""

    index: NDArray[np.int64]
    """(taps, new size)."""
    weight: Weights
    """Of the same shape: float32, or int32 where 2048 is 1. A tap of weight 0 fills up."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """How one image is scaled: along columns within each row first, then along rows."""

    rows: Taps
    columns: Taps
    share: float = 1.0
    """Factor on the sum of an area, where its weights are 1."""

    @property
    def fixed(self) -> bool:
        """Whether the arithmetic is that of integers."""
        return self.rows.weight.dtype == np.int32


def scaling(old: tuple[int, int], new: tuple[int, int], *, reduce: bool) -> Scaling:
    """Return how ``cv2.resize`` scales bytes between two sizes (h, w): by area to ``reduce``, else bilinearly."""
    if not reduce:
        return Scaling(_linear(old[0], new[0], ends=False), _linear(old[1], new[1], ends=True))
    high, wide = (before / after for before, after in zip(old, new, strict=True))
    if high != int(high) or wide != int(wide):
        return Scaling(_area(old[0], new[0]), _area(old[1], new[1]))
    if (high, wide) == (2, 2):  # rounded as integers are
        return Scaling(_blocks(2, new[0], np.int32(ONE // 2)), _blocks(2, new[1], np.int32(ONE // 2)))
    share = float(np.float32(1 / (high * wide)))
    return Scaling(_blocks(int(high), new[0], np.float32(1)), _blocks(int(wide), new[1], np.float32(1)), share=share)


@lru_cache(maxsize=_KEPT)
def nearest(old: int, new: int) -> NDArray[np.int64]:
    """Return the source index (new,) of each new label, from OpenCV itself: its rule differs between versions."""
    numbers = np.arange(old)
    found = np.zeros(new, np.int64)
    for shift in (0, 8, 16):
        digit = (numbers >> shift & 0xFF).astype(np.uint8)[None]
        scaled = np.asarray(cv2.resize(digit, (new, 1), interpolation=cv2.INTER_NEAREST_EXACT), np.int64)
        found += scaled[0] << shift
    return found


@lru_cache(maxsize=_KEPT)
def _linear(old: int, new: int, *, ends: bool) -> Taps:
    """Return two taps a pixel; beyond the ends the one is taken twice, or with weight 1 (``ends``: along a row)."""
    place = ((np.arange(new) + 0.5) * (1.0 / (new / old)) - 0.5).astype(np.float32)
    low = np.floor(place).astype(np.int64)
    share = place - low.astype(np.float32)
    if ends:
        share[(low < 0) | (low >= old - 1)] = 0
    weight = np.rint(np.stack([np.float32(1) - share, share]) * np.float32(ONE)).astype(np.int32)
    return Taps(np.clip(np.stack([low, low + 1]), 0, old - 1), weight)


@lru_cache(maxsize=_KEPT)
def _area(old: int, new: int) -> Taps:
    """Return the pixels under each new one, weighted by how much of it they cover: a part, whole ones, a part."""
    scale = 1.0 / (new / old)
    first = np.arange(new) * scale
    last = first + scale
    width = np.minimum(scale, old - first)
    high = np.minimum(np.floor(last).astype(np.int64), old - 1)
    low = np.minimum(np.ceil(first).astype(np.int64), high)
    index, weight = [low - 1], [np.where(low - first > _NEAR, (low - first) / width, 0)]
    for k in range(int((high - low).max())):
        index.append(low + k)
        weight.append(np.where(low + k < high, 1.0 / width, 0))
    index.append(high)
    weight.append(np.where(last - high > _NEAR, np.minimum(np.minimum(last - high, 1.0), width) / width, 0))
    return Taps(np.clip(np.stack(index), 0, old - 1), np.stack(weight).astype(np.float32))


def _blocks(side: int, new: int, weight: np.int32 | np.float32) -> Taps:
    """Return ``side`` neighbours a pixel, all of one weight."""
    index = np.arange(side)[:, None] + side * np.arange(new)
    return Taps(index, np.full(index.shape, weight))
