"""Tests of repro.evaluation.confusion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from repro.evaluation.confusion import confusion
from tests.support.label_maps import blobs

VOID = 255


def slow_confusion(labels: NDArray[Any], pred: NDArray[Any], num_classes: int) -> NDArray[np.int64]:
    """Count pair by pair."""
    matrix = np.zeros((num_classes, num_classes), np.int64)
    for label, guess in zip(labels.ravel().tolist(), pred.ravel().tolist(), strict=True):
        if label != VOID:
            matrix[label, guess] += 1
    return matrix


@pytest.mark.parametrize("num_classes", [2, 21, 32, 33, 150])
@pytest.mark.parametrize("shape", [(61, 67), (1, 3), (64, 64)])
def test_confusion_equals_slow_loop(num_classes: int, shape: tuple[int, int]) -> None:
    """Uniform words, mixed words, the tail of fewer than eight, narrow and wide codes."""
    rng = np.random.default_rng(num_classes)
    for labels in (blobs(1, shape, num_classes), rng.integers(0, num_classes, shape).astype(np.uint8)):
        pred = np.roll(labels, (3, 5), (0, 1))
        labels[: shape[0] // 4] = VOID
        expected = slow_confusion(labels, pred, num_classes)
        assert (confusion(labels, pred, num_classes) == expected).all()
        assert (confusion(labels.astype(np.int64), pred.astype(np.int32), num_classes) == expected).all()
        assert (confusion(labels.T, pred.T, num_classes) == expected).all()
