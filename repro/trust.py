"""Which records and counts cannot be trusted, and why, in one sentence each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from repro.metrics import BINS
from repro.records import Record

Array = NDArray[np.int64]
STATUSES = ("ok", "diverged", "interrupted")
SIZES = 21
"""Bins of ``size``, as ``regions.SIZES``, which is not for reports to import."""
_MOST = 2**40
"""Pixels that no image has."""


def fault(record: Record) -> str:
    """Return why a record has no place in any table, or nothing."""
    if record.status in STATUSES:
        return ""
    return f"{record.name} ({record.place}): status {record.status!r} is none of {', '.join(STATUSES)}, passed over"


def impossible(record: Record, counts: Mapping[str, Array]) -> str:
    """Return what no evaluation could have counted, or nothing."""
    if fault := _misshapen(record, counts):
        return fault
    if any(array.size and array.min() < 0 for array in counts.values()):
        return "a count is negative"
    if any(array.size and array.max() > (1 if name == "top5" else _MOST) for name, array in counts.items()):
        return "a count is larger than any can be"
    if any(_more(array, small, large) for name in counts for array, small, large in _ordered(name, counts[name])):
        return "a part is counted larger than its whole"
    images = record.meta.get("test_images")
    lengths = {len(array) for array in counts.values() if array.ndim}
    if isinstance(images, int) and lengths - {images}:
        return f"counts of {', '.join(map(str, sorted(lengths)))} images, and record.json says {images}"
    return ""


def _misshapen(record: Record, counts: Mapping[str, Array]) -> str:
    """Return which counts are unknown, or of other bins or classes than the record's, or nothing."""
    classes = record.meta.get("classes")
    number = None if classes is None else len(classes)
    wanted = {"classes": (number, 3), "distance": (BINS, 2), "size": (SIZES, 2), "top5": (2,)}
    for name, array in counts.items():
        if name not in wanted:
            return f"counts {name!r} are unknown"
        shape = tuple(one if own is None else own for own, one in zip(wanted[name], array.shape[1:], strict=False))
        if array.shape[1:] != shape or array.ndim != 1 + len(wanted[name]):
            form = ", ".join("any" if size is None else str(size) for size in wanted[name])
            return f"{name} are counts of shape {array.shape}, not of (images, {form})"
    return ""


def _ordered(name: str, array: Array) -> list[tuple[Array, int, int]]:
    """Return the columns of which one can never exceed the other."""
    pairs = {"classes": ((0, 1), (0, 2)), "distance": ((0, 1),), "size": ((0, 1),), "top5": ((0, 1),)}
    return [(array, small, large) for small, large in pairs.get(name, ())]


def _more(array: Array, small: int, large: int) -> bool:
    return array.ndim > 0 and array.shape[-1] > large and bool((array[..., small] > array[..., large]).any())
