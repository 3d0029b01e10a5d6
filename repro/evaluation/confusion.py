"""Confusion matrices of label maps, counted eight pixels at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from repro.config.errors import MetricError
from repro.results.metrics import Ints, check_classes, no_label

_BYTE = 256
_WORD = 8
_SHIFT = np.uint64(8)
_LOW = np.uint64(255)


def _bytes(array: Ints, name: str, ignore: int | None) -> NDArray[np.uint8]:
    """Flatten a label map to bytes; raise ``MetricError`` for values outside 0..255."""
    if array.dtype != np.uint8 and (
        array.dtype.kind not in "iu" or (array.size and (array.min() < 0 or array.max() >= _BYTE))
    ):
        msg = f"{name}: needs whole numbers from 0 to {_BYTE - 1}" + ("" if ignore is None else f" (void is {ignore})")
        raise MetricError(msg)
    return np.ascontiguousarray(array, dtype=np.uint8).reshape(-1)


def _table(labels: NDArray[np.uint8], pred: NDArray[np.uint8], num_classes: int) -> NDArray[np.int64]:
    """Count the (label, prediction) pairs of two flat maps, (256, num_classes), by words of eight pixels.

    Most words hold eight equal pairs, because label maps are piecewise constant; only the others are counted by pixel.
    """
    whole = labels.size - labels.size % _WORD
    first, other = (flat[:whole].view(np.uint64) for flat in (labels, pred))
    unlike = first << _SHIFT
    unlike ^= first
    shifted = other << _SHIFT
    shifted ^= other
    unlike |= shifted
    mixed = np.flatnonzero(unlike >= _BYTE)  # words in which a byte differs from the one before it
    if 2 * len(mixed) >= len(first):
        return _pairs(labels, pred, num_classes)
    codes = np.bitwise_and(first, _LOW, out=unlike)
    codes *= np.uint64(num_classes)
    codes += np.bitwise_and(other, _LOW, out=shifted)
    cells = _BYTE * num_classes
    codes[mixed] = cells  # an additional cell for the words that are counted by pixel
    table = np.bincount(codes.view(np.int64), minlength=cells + 1)[:cells].reshape(_BYTE, num_classes)
    table *= _WORD
    table += _pairs(first[mixed].view(np.uint8), other[mixed].view(np.uint8), num_classes)
    return table + _pairs(labels[whole:], pred[whole:], num_classes) if whole < labels.size else table


def _pairs(labels: NDArray[np.uint8], pred: NDArray[np.uint8], num_classes: int) -> NDArray[np.int64]:
    """Count the (label, prediction) pairs of two flat maps, (256, num_classes); 16 bits hold a pair."""
    codes = labels.astype(np.uint16)
    codes *= np.uint16(num_classes)
    codes += pred
    return np.bincount(codes, minlength=_BYTE * num_classes).reshape(_BYTE, num_classes)


def _checked(labels: Ints, pred: Ints, num_classes: int, ignore: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Flatten both maps to bytes; raise ``MetricError`` where shapes, classes or values do not fit."""
    if labels.shape != pred.shape:
        msg = f"labels {labels.shape} and prediction {pred.shape} differ in shape"
        raise MetricError(msg)
    if not 0 < num_classes < _BYTE:
        msg = f"num_classes: needs 1 to {_BYTE - 1} classes, got {num_classes}"
        raise MetricError(msg)
    flat, guess = _bytes(labels, "labels", ignore), _bytes(pred, "prediction", None)
    check_classes(int(guess.max(initial=0)), num_classes)
    return flat, guess


def confusion(labels: Ints, pred: Ints, num_classes: int, ignore: int = 255) -> NDArray[np.int64]:
    """Return the confusion matrix of one image or of many.

    Args:
        labels: label map of any shape; ``ignore`` marks void, which is not scored.
        pred: predicted classes, same shape.
        num_classes: number of classes c, 255 at most.
        ignore: the void label.

    Returns:
        (c, c) pixels: row = label, column = prediction.

    Raises:
        MetricError: the shapes differ, or a value is neither a class nor void.
    """
    flat, guess = _checked(labels, pred, num_classes, ignore)
    table = _table(flat, guess, num_classes)
    if 0 <= ignore < _BYTE:
        table[ignore] = 0
    if table[num_classes:].any():
        raise no_label(num_classes + int(table[num_classes:].any(axis=1).argmax()), num_classes, ignore)
    return table[:num_classes]


def class_counts(labels: Ints, pred: Ints, num_classes: int, ignore: int = 255) -> NDArray[np.int64]:
    """Return per class the pixels of intersection, prediction and label, (c, 3); arguments as ``confusion``."""
    matrix = confusion(labels, pred, num_classes, ignore)
    return np.stack([matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)], axis=1)
