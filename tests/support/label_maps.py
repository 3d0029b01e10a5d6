"""Label maps with large connected areas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def blobs(seed: int, shape: tuple[int, int], num_classes: int) -> NDArray[np.uint8]:
    """Patches of one value: most words of eight pixels are uniform."""
    coarse = np.random.default_rng(seed).integers(0, num_classes, (3, 3)).astype(np.uint8)
    big = np.kron(coarse, np.ones((shape[0] // 3 + 1, shape[1] // 3 + 1), np.uint8))
    return np.ascontiguousarray(big[: shape[0], : shape[1]])
