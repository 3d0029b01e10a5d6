"""Padded frames that are used again once nobody holds them: what no image ever covers is padded only once."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Frames:
    """The frames (n, h, w, ...) of one batch. Images lie at their upper left, padding below and on the right."""

    def __init__(self, count: int, blank: Array) -> None:
        """Take the number of frames and one that is nothing but padding, (h, w, ...)."""
        self._whole = np.broadcast_to(blank, (count, *blank.shape)).copy()
        self._blank, self._covered = blank, [(0, 0)] * count
        self._lent: Callable[[], Array | None] = lambda: None

    @property
    def free(self) -> bool:
        """Whether nobody holds the last loan any more, nor a tensor that shares its memory."""
        return self._lent() is None

    def lend(self) -> Array:
        """Return all frames as an array to hand out; while it lives, they are not free."""
        loan = self._whole.view()
        self._lent = weakref.ref(loan)
        return loan

    def put(self, j: int, part: Array) -> Array:
        """Copy an image into frame ``j``, pad what the image before it covered besides, return the place of it."""
        (h, w), (bottom, right) = part.shape[:2], self._covered[j]
        frame, blank = self._whole[j], self._blank
        place: Array = frame[:h, :w]
        place[...] = part
        if h < bottom:
            frame[h:bottom, :right] = blank[h:bottom, :right]
        if w < right:
            frame[:h, w:right] = blank[:h, w:right]
        self._covered[j] = h, w
        return place


class Pool:
    """As many sets of frames as are held at a time; several threads may ask."""

    def __init__(self, count: int, blank: Array) -> None:
        """Take what ``Frames`` takes; nothing is allocated before it is asked for."""
        self._count, self._blank, self._all, self._lock = count, blank, list[Frames](), Lock()

    def take(self) -> tuple[Frames, Array]:
        """Return frames that nobody holds, and the array to hand out."""
        with self._lock:
            frames = next((frames for frames in self._all if frames.free), None)
            if frames is None:
                self._all.append(frames := Frames(self._count, self._blank))
            return frames, frames.lend()
