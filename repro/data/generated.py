"""The generated data set ``shapes`` as a ``Dataset``; needs no root and no files."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from repro.data import shapes
from repro.data.dataset import Bytes, Dataset, Item, Kind

CONTROL, CLASSIFICATION = "control_", "cls_"


CLASSES, IMAGE_CLASSES = shapes.CLASSES, shapes.IMAGE_CLASSES
SPLITS = (
    *shapes.SPLITS,
    *(CONTROL + name for name in shapes.SPLITS),
    *(CLASSIFICATION + name for name in shapes.IMAGE_SPLITS),
)
"""The generator's own; ``control_*``, where texture tells the class; ``cls_*``, with one class an image."""
SIZES = {
    **{prefix + name: split.count for prefix in ("", CONTROL) for name, split in shapes.SPLITS.items()},
    **{CLASSIFICATION + name: split.count for name, split in shapes.IMAGE_SPLITS.items()},
}
"""Images of each split."""


def load(split: str, root: Path | None = None) -> Dataset:  # noqa: ARG001 - every loader is called alike
    """Return a split of ``shapes``; its images are made when the first one is read."""
    make, count, kind = _maker(split)
    made = _Once(make)

    def read(i: int) -> Item:
        images, labels = made()
        return images[i], labels[i] if kind == "segmentation" else int(labels[i])

    classes = shapes.CLASSES if kind == "segmentation" else shapes.IMAGE_CLASSES
    palette = shapes.PALETTE if kind == "segmentation" else ()
    ids = tuple(f"{i:05d}" for i in range(count))
    return Dataset("shapes", split, classes, palette, ids, read, kind=kind, version=_version())


def _maker(split: str) -> tuple[Callable[[], tuple[Bytes, Any]], int, Kind]:
    if split.startswith(CLASSIFICATION):
        name = split.removeprefix(CLASSIFICATION)
        return partial(shapes.make_image_split, name), shapes.IMAGE_SPLITS[name].count, "classification"
    name = split.removeprefix(CONTROL)
    control = split.startswith(CONTROL)
    return partial(shapes.make_split, name, control=control), shapes.SPLITS[name].count, "segmentation"


def _version() -> str:
    """Return a hash of the generator's code: changed code makes another data set."""
    digest = hashlib.sha256()
    for name in ("shapes.py", "outlines.py"):
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest()[:16]


class _Once:
    """A value made on the first call, by one thread alone."""

    def __init__(self, make: Callable[[], tuple[Bytes, Any]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._value: tuple[Bytes, Any] | None = None

    def __call__(self) -> tuple[Bytes, Any]:
        with self._lock:
            if self._value is None:
                self._value = self._make()
            return self._value
