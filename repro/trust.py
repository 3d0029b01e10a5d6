"""Which records and counts cannot be trusted, and why, in one sentence each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from repro.records import Record

Array = NDArray[np.int64]
STATUSES = ("ok", "diverged", "interrupted")


def fault(record: Record) -> str:
    """Return why a record has no place in any table, or nothing."""
    if record.status in STATUSES:
        return ""
    return f"{record.name} ({record.place}): status {record.status!r} is none of {', '.join(STATUSES)}, passed over"


def impossible(record: Record, counts: Mapping[str, Array]) -> str:
    """Return what no evaluation could have counted, or nothing."""
    if any(array.size and array.min() < 0 for array in counts.values()):
        return "a count is negative"
    if any(_more(array, small, large) for name in counts for array, small, large in _ordered(name, counts[name])):
        return "a part is counted larger than its whole"
    images = record.meta.get("test_images")
    lengths = {len(array) for array in counts.values() if array.ndim}
    if isinstance(images, int) and lengths - {images}:
        return f"counts of {', '.join(map(str, sorted(lengths)))} images, and record.json says {images}"
    return ""


def _ordered(name: str, array: Array) -> list[tuple[Array, int, int]]:
    """Return the columns of which one can never exceed the other."""
    pairs = {"classes": ((0, 1), (0, 2)), "distance": ((0, 1),), "size": ((0, 1),), "top5": ((0, 1),)}
    return [(array, small, large) for small, large in pairs.get(name, ())]


def _more(array: Array, small: int, large: int) -> bool:
    return array.ndim > 0 and array.shape[-1] > large and bool((array[..., small] > array[..., large]).any())
