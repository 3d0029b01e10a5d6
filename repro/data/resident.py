"""The stores held on a GPU: batches are padded, cut, turned and flipped there, by one gathering of their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from repro.data.dataset import IGNORE_INDEX
from repro.data.geometry import FILL
from repro.data.normalise import IMAGENET_MEAN, IMAGENET_STD, normalise
from repro.data.transforms import Batches, Piece

SHARE = 0.25
"""Of the memory that is free on a GPU, what the pixels may take; the rest is for the training."""

CHUNK = 2**26
"""Bytes copied at a time."""


def fits(batches: Batches, device: torch.device) -> bool:
    """Say whether the pixels of all stores may be held on a device.

    Batches whose images are scaled are made on the host: its interpolation is part of what a recipe means.
    """
    if device.type != "cuda" or batches.scale != (1.0, 1.0):
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return sum(store.pixels.size for store in batches.stores) <= SHARE * free


class Resident:
    """The same batches as ``Batches``, byte for byte, from pixels that lie on the device."""

    def __init__(self, batches: Batches, device: torch.device | str) -> None:
        """Take the batches; the pixels are copied at the first one."""
        self.batches, self.device = batches, torch.device(device)

    @cached_property
    def pixels(self) -> torch.Tensor:
        """All stores' bytes one behind the other, on the device."""
        held = torch.empty(int(self.offsets[-1]), dtype=torch.uint8, device=self.device)
        for store, offset in zip(self.batches.stores, self.offsets.tolist(), strict=False):
            for start in range(0, store.pixels.size, CHUNK):
                part = torch.from_numpy(np.array(store.pixels[start : start + CHUNK]))
                held[offset + start : offset + start + len(part)] = part.to(self.device)
        return held

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Where each store begins."""
        return np.cumsum([0, *(store.pixels.size for store in self.batches.stores)])

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return images (n, 3, h, w) uint8, channels last, labels, both on the device, and sizes (n, 2) on the host."""
        pieces = self.batches.pieces(step)
        sizes = torch.tensor([(piece.height, piece.width) for piece in pieces])
        table = torch.tensor([self._row(piece) for piece in pieces])
        table = (table.pin_memory() if self.device.type == "cuda" else table).to(self.device, non_blocking=True)
        first, start, down, right, height, width, area = (column[:, None, None] for column in table.unbind(1))
        frame = self.batches.source
        y = torch.arange(frame.height, device=self.device)[None, :, None]
        x = torch.arange(frame.width, device=self.device)[None, None]
        inside = (y < height) & (x < width)
        cell = torch.where(inside, start + down * y + right * x, 0)
        channels = torch.arange(3, device=self.device)
        images = self.pixels[(first + 3 * cell)[..., None] + channels]
        fill = torch.tensor(FILL, dtype=torch.uint8).to(self.device)
        images = torch.where(inside[..., None], images, fill).permute(0, 3, 1, 2)
        if self.batches.stores[0].kind == "classification":
            targets = torch.tensor([int(self.batches.stores[p.store].labels(p.index)) for p in pieces])
            return images, targets.to(self.device, non_blocking=True), sizes
        labels = torch.where(inside, self.pixels[first + 3 * area + cell], IGNORE_INDEX)
        return images, labels.to(torch.uint8), sizes

    def ready(
        self,
        step: int,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the normalised images (n, 3, h, w) float32 and the labels of a step, on the device held."""
        images, labels, sizes = self.batch(step)
        return normalise(images, mean, std, sizes), labels

    def _row(self, piece: Piece) -> tuple[int, ...]:
        """Return the piece's first byte, its first cell and the steps down and right in cells, its size and area."""
        store = self.batches.stores[piece.store]
        h, w = (int(side) for side in store.sizes[piece.index])
        y, down = _line(piece.top, piece.height, piece.mirrored[0])
        x, right = _line(piece.left, piece.width, piece.mirrored[1])
        # Where cell (0, 0) of the turned image lies in the stored one, and one step down and right there.
        corners = ((0, w, 1), ((h - 1) * w, 1, -w), (h * w - 1, -w, -1), (w - 1, -1, w))
        origin, rows, columns = corners[piece.turns]
        start = origin + y * rows + x * columns
        first = int(self.offsets[piece.store]) + int(store.starts[piece.index])
        return first, start, down * rows, right * columns, piece.height, piece.width, h * w


def _line(start: int, length: int, mirrored: bool) -> tuple[int, int]:  # noqa: FBT001 - one bit of a piece
    """Return the first place and the step of ``length`` places from ``start``, read backwards where mirrored."""
    return (start + length - 1, -1) if mirrored else (start, 1)
