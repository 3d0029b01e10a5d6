"""A small network, images and a normalisation for tests of evaluation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


class PositionNetwork(nn.Module):
    """A network whose answer depends on colour and on the distance from the border, as padding makes it."""

    def __init__(self) -> None:
        """Fix the weights."""
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 3, h, w) to (n, 4, h, w)."""
        return self.conv(x)  # type: ignore[no-any-return]


def centred(images: Tensor) -> Tensor:
    return images.float() / 255 - 0.5


def random_images(count: int, h: int, w: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for _ in range(count)]
