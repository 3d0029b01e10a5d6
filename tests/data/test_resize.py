"""Tests of repro.data.resize."""

from __future__ import annotations

import numpy as np

from repro.data import resize
from repro.data.augment import scaled, scaled_size


def test_scaling_tables_are_those_of_opencv() -> None:
    """Random sizes and factors, blocks of 2 x 2 and 3 x 3, black and white beside noise: every byte of every image."""
    random = np.random.default_rng(0)
    factors = [1 / 4, 1 / 3, 1 / 2, 0.99999, 1.0, 2.0]
    for trial in range(300):
        old = tuple(random.integers(1, (12, 60, 200)[trial % 3], 2).tolist())
        factor = factors[trial // 3 % 6] if trial % 4 == 0 else float(random.uniform(0.2, 2.5))
        image = random.integers(0, 256, (*old, 3), dtype=np.uint8)
        image = image if trial % 2 else np.where(image < 128, 0, 255).astype(np.uint8)
        labels = random.integers(0, 256, old, dtype=np.uint8)
        expected, truth = scaled([image, labels], factor)
        new = scaled_size(old, factor)
        how = resize.scaling(old, new, reduce=factor < 1)
        assert how.fixed == (factor >= 1 or old == (2 * new[0], 2 * new[1]))
        np.testing.assert_array_equal(by_tables(image, how), expected)
        np.testing.assert_array_equal(labels[resize.nearest(old[0], new[0])][:, resize.nearest(old[1], new[1])], truth)


def by_tables(image: np.ndarray, how: resize.Scaling) -> np.ndarray:
    """Return an image (h, w, 3) scaled by tables, along rows first, in NumPy: the products one after the other."""
    across, down = how.columns, how.rows
    line = sum(image[:, i] * w[:, None] for i, w in zip(across.index, across.weight, strict=True))
    if how.fixed:
        parts = (((line[i] >> 4) * w[:, None, None]) >> 16 for i, w in zip(down.index, down.weight, strict=True))
        return ((sum(parts) + 2) >> 2).clip(0, 255).astype(np.uint8)
    parts = (line[i] * w[:, None, None] for i, w in zip(down.index, down.weight, strict=True))
    return np.rint(sum(parts) * np.float32(how.share)).clip(0, 255).astype(np.uint8)
