"""Scaling, cropping and padding of one image with its labels, and the random draws that choose them."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from repro.config.dataset_info import IMAGENET_MEAN
from repro.config.errors import DataError
from repro.data.dataset import IGNORE_INDEX, Bytes

FILL = tuple(round(255 * mean) for mean in IMAGENET_MEAN)
"""Colour of padded pixels before normalisation (ImageNet's mean); ``normalise`` makes them exactly zero."""


def scaled_size(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """Return height and width of an image scaled by a factor, at least one pixel each."""
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def scaled(pair: list[Bytes], factor: float) -> list[Bytes]:
    """Scale an image (area or linear) and its labels (nearest) by one factor; ``resize.scaling`` has the same bytes."""
    h, w = scaled_size((pair[0].shape[0], pair[0].shape[1]), factor)
    smooth = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    modes = (smooth, cv2.INTER_NEAREST_EXACT)
    return [cv2.resize(x, (w, h), interpolation=m) if x.ndim else x for x, m in zip(pair, modes, strict=True)]  # type: ignore[misc]


def span(side: int, most: int, draw: float) -> tuple[int, int]:
    """Return start and length of a window of at most ``most`` pixels along a side; the start by a draw from [0, 1)."""
    return int(draw * (max(0, side - most) + 1)), min(side, most)


def window(x: Bytes, frame: tuple[int, int], down: float, across: float) -> Bytes:
    """Crop (h, w, ...) to at most the frame, at a position given by two draws from [0, 1)."""
    if not x.ndim:
        return x
    top, height = span(x.shape[0], frame[0], down)
    left, width = span(x.shape[1], frame[1], across)
    return x[top : top + height, left : left + width]


@lru_cache(maxsize=8)
def blanks(height: int, width: int) -> tuple[Bytes, Bytes]:
    """Return an image (h, w, 3) and labels (h, w) that are all padding."""
    return np.full((height, width, 3), FILL, np.uint8), np.full((height, width), IGNORE_INDEX, np.uint8)


def centre_crop(image: Bytes, height: int, width: int) -> Bytes:
    """Return the centre (height, width, 3) of an image; 0 keeps a side; raise ``DataError`` where it is smaller."""
    h, w = image.shape[:2]
    height, width = height or h, width or w
    if h < height or w < width:
        raise DataError(f"an image of {h}x{w} has no centre of {height}x{width}; give a smaller frame")
    top, left = round((h - height) / 2), round((w - width) / 2)
    return image[top : top + height, left : left + width]


_ORDER, _DRAWS = 1 << 61, 1 << 62


def _raw(seed: int, stream: int, count: int) -> NDArray[np.uint64]:
    """Return the first 64-bit words of a counter-based generator's stream (numpy never changes a bit generator's)."""
    bits: NDArray[np.uint64] = np.random.Philox(key=np.array([seed, stream], dtype=np.uint64)).random_raw(count)
    return bits


def uniform(seed: int, stream: int, count: int) -> NDArray[np.float64]:
    """Return ``count`` numbers in [0, 1)."""
    return (_raw(seed, _DRAWS + stream, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    """Return the order (n,) in which an epoch sees its images; read-only."""
    order = np.argsort(_raw(seed, _ORDER + epoch, n), kind="stable")
    order.setflags(write=False)
    return order
