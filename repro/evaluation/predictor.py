"""Prediction of label maps: single scale, multi-scale and mirrored, overlapping crops."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from repro.config.experiment import Evaluation, Source

STRIDE = 32
Bytes = NDArray[np.uint8]
Normalise = Callable[[Tensor], Tensor]
Autocast = Callable[[], AbstractContextManager[Any]]


class Refine(Protocol):
    """Refines class probabilities (c, h, w) with images (h, w, 3) to labels (h, w), lazily and in order."""

    def __call__(self, pairs: Iterable[tuple[NDArray[np.float32], Bytes]]) -> Iterator[Bytes]:
        """Yield the label maps; several pairs may be consumed before the first is yielded."""


@dataclass(frozen=True)
class Predictor:
    """A network with an evaluation protocol: maps images to label maps.

    ``normalise`` maps uint8 images (n, 3, h, w) to the network's float32 input; it is padded to
    ``frame`` with zeros, the mean colour.
    """

    net: nn.Module
    normalise: Normalise
    frame: tuple[int, int] = (0, 0)
    evaluation: Evaluation = field(default_factory=Evaluation)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    autocast: Autocast = nullcontext
    refine: Refine | None = None
    layout: torch.memory_format = torch.channels_last

    def labels(self, images: list[Bytes]) -> list[Bytes]:
        """Predict images (h, w, 3) of one size; return label maps (h, w)."""
        if self.refine is not None:
            return list(self.refine(zip(self.softmax(images), images, strict=True)))
        return list(self.label_maps(images).cpu().numpy())

    @torch.inference_mode()
    def softmax(self, images: list[Bytes]) -> NDArray[np.float32]:
        """Return the probabilities (n, c, h, w) of images (h, w, 3) of one size."""
        found: NDArray[np.float32] = self.probabilities(self._input(images)).float().cpu().numpy()
        return found

    @torch.inference_mode()
    def label_maps(self, images: list[Bytes]) -> Tensor:
        """Predict images (h, w, 3) of one size, unrefined; return labels (n, h, w) uint8 on the device."""
        x = self._input(images)
        scores = self._logits(x) if self._plain() else self.probabilities(x)
        return scores.max(1).indices.to(torch.uint8)  # the same as argmax, and faster on a CPU

    def _input(self, images: list[Bytes]) -> Tensor:
        batch = to_device(np.stack(images), self.device).permute(0, 3, 1, 2)
        return self.normalise(batch).contiguous(memory_format=self.layout)

    def _plain(self) -> bool:
        e = self.evaluation
        return e.scales == (1.0,) and not e.flip and not e.crops

    @torch.inference_mode()
    def probabilities(self, x: Tensor) -> Tensor:
        """Average the softmax over crops, scales and mirrors: (n, 3, h, w) to (n, c, h, w).

        The softmax of every scale and mirror of a crop is resized to the crop (bilinear) and averaged; a pixel's value
        is the mean over the crops that contain it.
        """
        if not self.evaluation.crops:
            return self._scales(x)
        total = count = None
        for top, left, side in crop_boxes(x.shape[2], x.shape[3], self.evaluation.crops):
            part = self._scales(x[:, :, top : top + side, left : left + side])
            if total is None or count is None:
                total = part.new_zeros(x.shape[0], part.shape[1], x.shape[2], x.shape[3])
                count = part.new_zeros(x.shape[2], x.shape[3])
            total[:, :, top : top + side, left : left + side] += part
            count[top : top + side, left : left + side] += 1
        assert total is not None
        assert count is not None
        return total / count

    def _scales(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        mean: Tensor | None = None
        views = list(itertools.product(self.evaluation.scales, (False, True) if self.evaluation.flip else (False,)))
        for scale, mirrored in views:
            size = (max(1, round(h * scale)), max(1, round(w * scale)))
            y = x if scale == 1.0 else nn.functional.interpolate(x, size, mode="bilinear", align_corners=False)
            out = self._logits(y.flip(3) if mirrored else y, scale).softmax(1)
            out = out.flip(3) if mirrored else out
            if scale != 1.0:
                out = nn.functional.interpolate(out, (h, w), mode="bilinear", align_corners=False)
            mean = out if mean is None else mean + out
        assert mean is not None
        return mean / len(views)

    def _logits(self, x: Tensor, scale: float = 1.0) -> Tensor:
        """Run the network on the input padded to the scaled frame; return unpadded float32 logits."""
        h, w = x.shape[2:]
        bottom, right = (
            max(_up(round(side * scale)), have) - have for side, have in zip(self.frame, (h, w), strict=True)
        )
        padded = nn.functional.pad(x, (0, right, 0, bottom)) if bottom or right else x
        with self.autocast():
            out: Tensor = self.net(padded.contiguous(memory_format=self.layout))
        return out[:, :, :h, :w].float()


def to_device(values: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array to a device, asynchronously to a GPU."""
    tensor = torch.from_numpy(values)
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def _up(side: int) -> int:
    return -(-side // STRIDE) * STRIDE


def crop_boxes(height: int, width: int, count: int) -> list[tuple[int, int, int]]:
    """Return ``count`` squares (top, left, side), evenly spaced along the longer side, that cover the image.

    Section 4.3: four crops of a 1024 x 2048 image start at x = 0, 341, 683, 1024.

    Raises:
        ValueError: ``count`` squares cannot cover the image.
    """
    side = min(height, width)
    room = max(height, width) - side
    if count < 1 or count * side < max(height, width):
        msg = f"{count} square crops of {side} cannot cover an image of {height} x {width}; ask for more crops"
        raise ValueError(msg)
    starts = [round(i * room / max(1, count - 1)) for i in range(count)]
    return [(start, 0, side) if height > width else (0, start, side) for start in starts]


def frame_of(source: Source) -> tuple[int, int]:
    """Return the size (h, w) that a test source is padded to."""
    return source.height, source.width
