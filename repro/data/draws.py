"""Random draws as a pure function of seed and place: the same on every machine and version of numpy."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

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
