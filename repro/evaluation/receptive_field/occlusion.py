"""Valid receptive fields by occlusion [Zhou 2014], effective ones by the gradient [Luo 2016], and how they agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from repro.config.errors import VRFError
from repro.evaluation.receptive_field.incremental import Partial
from repro.evaluation.receptive_field.ops import Span
from repro.evaluation.receptive_field.trace import record

Floats = NDArray[np.float32]
THRESHOLD = 0.2
"""Share of the largest change from which a cell belongs to the field."""
ROUNDING = 1e-4
"""Rounding error of float32 as a share of the largest change (7e-5 at ResNet-50: docs/deviations.md)."""
_BLOCK = 3
"""Side of the block of neighbouring occluders computed together; their windows overlap almost completely."""


@dataclass(frozen=True, eq=False)
class VRF:
    """Change of the score of one class at one position under each occluder (Figure 3).

    ``map`` is (rows, columns) float32: score of the clean image minus score of the occluded one, before softmax. Its
    cell (i, j) is the occluder whose upper left corner lies at x = ``stride * j``, y = ``stride * i``.
    """

    map: Floats
    position: tuple[int, int]
    class_index: int
    score: float
    size: tuple[int, int]
    """Height and width of the image."""
    occluder: int
    stride: int

    def mask(self, threshold: float = THRESHOLD) -> NDArray[np.bool_]:
        """Return the mask (rows, columns) of the occluders with at least ``threshold`` of the largest change."""
        return _above(np.abs(self.map), threshold)

    def pixels(self) -> Floats:
        """Return the absolute change at every pixel, (h, w), linear between the centres of the occluders."""
        height, width = (
            np.clip((np.arange(size) - (self.occluder - 1) / 2) / self.stride, 0, cells - 1)
            for size, cells in zip(self.size, self.map.shape, strict=True)
        )
        rows = _between(np.abs(self.map), height)
        return np.ascontiguousarray(_between(rows.T, width).T)


def _between(table: Floats, where: NDArray[np.float64]) -> Floats:
    """Interpolate the rows of a table linearly at fractional indices."""
    low = np.minimum(where.astype(int), max(len(table) - 2, 0))
    share = (where - low).astype(np.float32)[:, None]
    return np.asarray(table[low] * (1 - share) + table[np.minimum(low + 1, len(table) - 1)] * share)


def occlusion_map(
    network: nn.Module,
    image: Tensor,
    at: tuple[int, int],
    *,
    occluder: int = 11,
    stride: int = 3,
    fill: float = 0.0,
    class_index: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> VRF:
    """Measure the valid receptive field of one position; equal to a forward pass per occluded image, but incremental.

    Args:
        network: maps (1, 3, h, w) to logits (1, c, h, w); float32 (or float64), in evaluation mode.
        image: (3, h, w), normalised, of the network's type and device.
        at: position (x, y) in pixels.
        occluder: side of the occluding square, odd (Zhou 2014: 11).
        stride: distance of neighbouring occluders (Zhou 2014: 3).
        fill: value of occluded pixels; 0 is the mean colour.
        class_index: class whose score is measured; None: the class predicted at the position.
        progress: called with the share that is done.

    Raises:
        VRFError: the position lies outside the image, the occluder is even or does not fit, the network is in training
            mode, not float32, or has an operation without windows.
    """
    _check(image, at, occluder, stride)
    steps = record(network, image[None])
    with torch.no_grad():
        partial = Partial(steps, image[None], at)
        clean = partial.clean[-1][0, :, at[1], at[0]]
        chosen = _class(clean, class_index)
        changes = Grid(image, occluder, stride, fill).changes(partial, clean[chosen], chosen, progress)
    size = image.shape[1], image.shape[2]
    return VRF(changes, at, chosen, float(clean[chosen]), size, occluder, stride)


@dataclass(frozen=True, eq=False)
class Grid:
    """The occluders over one image."""

    image: Tensor
    occluder: int
    stride: int
    fill: float

    def count(self, axis: int) -> int:
        """Return the number of occluders along rows (0) or columns (1)."""
        return (self.image.shape[1 + axis] - self.occluder) // self.stride + 1

    def blocks(self, axis: int) -> Iterator[tuple[int, int, Span]]:
        """Yield the range of occluders of each block, and the pixels that they cover."""
        for first in range(0, self.count(axis), _BLOCK):
            last = min(first + _BLOCK, self.count(axis))
            yield first, last, (first * self.stride, (last - 1) * self.stride + self.occluder)

    def patches(self, rows: Span, columns: Span, count: tuple[int, int]) -> Tensor:
        """Return the occluded images of a block, cropped to its box, (n, 3, rows, columns)."""
        window = self.image[:, rows[0] : rows[1], columns[0] : columns[1]]
        patch = window.repeat(count[0] * count[1], 1, 1, 1)
        for n in range(len(patch)):
            y, x = (self.stride * k for k in divmod(n, count[1]))
            patch[n, :, y : y + self.occluder, x : x + self.occluder] = self.fill
        return patch.contiguous(memory_format=torch.channels_last)

    def changes(self, partial: Partial, clean: Tensor, chosen: int, progress: Callable[[float], None] | None) -> Floats:
        """Return the change of the score for every occluder, (rows, columns)."""
        out = np.zeros((self.count(0), self.count(1)), np.float32)
        reached = [[partial.reached(axis, span) for _, _, span in self.blocks(axis)] for axis in (0, 1)]
        for (top, bottom, rows), above in zip(self.blocks(0), reached[0], strict=True):
            for (left, right, columns), across in zip(self.blocks(1), reached[1], strict=True):
                count = bottom - top, right - left
                scores = partial.scores(self.patches(rows, columns, count), rows, columns, (above, across))
                if scores is not None:
                    out[top:bottom, left:right] = (clean - scores[:, chosen]).view(count).cpu().numpy()
            if progress is not None:
                progress(bottom / self.count(0))
        return out


def gradient_field(network: nn.Module, image: Tensor, at: tuple[int, int], class_index: int | None = None) -> Floats:
    """Return the effective receptive field of one position [Luo 2016], (h, w): absolute gradient summed over colours.

    It takes one backward pass; arguments and errors are those of ``occlusion_map``.
    """
    _check(image, at, 1, 1)
    with torch.enable_grad():
        given = image.detach().clone().requires_grad_()
        scores = network(given[None])[0, :, at[1], at[0]]
        (gradient,) = torch.autograd.grad(scores[_class(scores, class_index)], given)
    return np.asarray(gradient.abs().sum(0).cpu().numpy(), np.float32)


def area(field: VRF, threshold: float = THRESHOLD) -> float:
    """Return the field's area in pixels: number of occluders above the threshold times ``stride`` squared."""
    return float(field.mask(threshold).sum() * field.stride**2)


def under_occluders(field: VRF, gradient: Floats) -> VRF:
    """Return a gradient field (h, w) averaged under each occluder of a map, as a map on the same grid.

    Raises:
        VRFError: the gradient has another image's size.
    """
    if gradient.shape != field.size:
        msg = f"agreement: the gradient's field {gradient.shape} belongs to another image than the map {field.size}"
        raise VRFError(msg)
    windows = np.lib.stride_tricks.sliding_window_view(gradient, (field.occluder, field.occluder))
    means = windows[:: field.stride, :: field.stride].mean(axis=(2, 3))
    return replace(field, map=np.asarray(means, np.float32))


def agreement(field: VRF, gradient: Floats, threshold: float = THRESHOLD) -> tuple[float, float]:
    """Compare a gradient field (h, w) with a map: rank correlation, and IoU above the threshold.

    The gradient is averaged under each occluder. Changes below float32's rounding error share one rank. Either number
    is nan where a field is constant or empty.
    """
    from scipy import stats  # here, so that a field can be measured without it

    means, changes = _told(under_occluders(field, gradient).map), _told(np.abs(field.map))
    constant = np.ptp(means) == 0 or np.ptp(changes) == 0
    rank = math.nan if constant else float(stats.spearmanr(means, changes, axis=None).statistic)
    ours, theirs = _above(changes, threshold), _above(means, threshold)
    union = int((ours | theirs).sum())
    return rank, float((ours & theirs).sum() / union) if union else math.nan


def _told(values: Floats) -> Floats:
    """Return values (h, w), 0 where they are below the rounding error of the largest."""
    return np.where(values < ROUNDING * values.max(initial=0.0), np.float32(0), values)


def _above(values: Floats, threshold: float) -> NDArray[np.bool_]:
    """Return the mask of values that reach a share of the largest; empty where all are 0."""
    if not 0 < threshold <= 1:
        msg = f"threshold: needs a share of the largest change, above 0 and up to 1, got {threshold}"
        raise VRFError(msg)
    largest = values.max(initial=0.0)
    return np.asarray((values >= threshold * largest) & (largest > 0))


def _class(scores: Tensor, class_index: int | None) -> int:
    """Return the given class, or the predicted one."""
    if class_index is not None and not 0 <= class_index < len(scores):
        msg = f"class {class_index} is outside the network's {len(scores)} classes"
        raise VRFError(msg)
    return int(scores.argmax()) if class_index is None else class_index


def _check(image: Tensor, at: tuple[int, int], occluder: int, stride: int) -> None:
    """Raise ``VRFError`` for an invalid image, position, occluder or stride."""
    if image.dim() != 3 or image.shape[0] != 3 or image.dtype not in (torch.float32, torch.float64):  # noqa: PLR2004
        msg = f"image: needs a normalised float32 image (3, h, w), got {image.dtype} {tuple(image.shape)}"
        raise VRFError(msg)
    height, width = image.shape[1:]
    if not (0 <= at[0] < width and 0 <= at[1] < height):
        msg = f"position {at}: outside the image, which has x 0..{width - 1} and y 0..{height - 1}"
        raise VRFError(msg)
    if occluder < 1 or occluder % 2 == 0 or stride < 1:
        msg = f"occluder: needs an odd side and a stride of 1 or more, got {occluder} and {stride}"
        raise VRFError(msg)
    if min(height, width) < occluder:
        msg = f"image: {height} x {width} is smaller than the occluder of {occluder} x {occluder}"
        raise VRFError(msg)
