"""Check a whole data set: counts against the published ones, every image and its labels, pixel shares of classes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repro.config import dataset_info
from repro.config.dataset_info import DatasetInfo
from repro.config.errors import AbsentError, DataError
from repro.data import load
from repro.data.cache import kept
from repro.data.dataset import Dataset
from repro.data.io import ordered
from repro.data.shares import Look, Published, faults, look

Progress = Callable[[str, int, int], None]
_JOINED = frozenset({"trainval"})
"""Splits whose images are all checked in other splits."""


@dataclass(frozen=True)
class Line:
    """One split: images found (None: it cannot be loaded), images that the paper or the publisher counts, faults."""

    name: str
    found: int | None
    expected: int | None
    faults: tuple[str, ...] = ()
    refused: bool = False
    """Whether its files exist and cannot be loaded."""

    @property
    def verdict(self) -> str:
        """``absent``, ``refused``, ``faulty``, ``differs``, ``as published`` or ``complete`` (no count published)."""
        if self.found is None:
            return "refused" if self.refused else "absent"
        if self.faults:
            return "faulty"
        if self.expected is None:
            return "complete"
        return "as published" if self.found == self.expected else "differs"


@dataclass(frozen=True)
class Report:
    """Result of ``check``."""

    dataset: str
    lines: tuple[Line, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """All faults, one sentence each without repeats; files are named by path."""
        return tuple(dict.fromkeys(fault for line in self.lines for fault in line.faults))

    @property
    def ok(self) -> bool:
        """Whether some split is there, none has a fault, and every count is as published."""
        there = [line.verdict for line in self.lines if line.verdict != "absent"]
        return bool(there) and set(there) <= {"as published", "complete"}


def check(
    dataset: str, root: Path | None = None, progress: Progress = lambda _split, _done, _all: None, workers: int = 0
) -> Report:
    """Read every image of every split with its labels, in parallel.

    Args:
        dataset: name.
        root: data root.
        progress: called with (split, images read, images).
        workers: threads; 0: one a core.

    Raises:
        DataError: the data set is unknown or the root does not hold it at all.
    """
    info, lines = dataset_info.get(dataset), []
    expected = {} if info.generated else info.images
    loaded: dict[str, Dataset] = {}
    seen: dict[bytes, str] = {}
    for split in info.images:
        try:
            loaded[split] = load(dataset, split, root)
        except DataError as error:
            lines.append(Line(split, None, expected.get(split), (str(error),), not isinstance(error, AbsentError)))
            continue
        faults = () if split in _JOINED else tuple(_faults(info, loaded[split], progress, workers, seen))
        lines.append(Line(split, len(loaded[split]), expected.get(split), faults))
    if not loaded:
        raise DataError(next((line for line in lines if line.refused), lines[0]).faults[0])
    return Report(dataset, (*lines, *_joint(info, loaded, root)))


def _faults(
    info: DatasetInfo, data: Dataset, progress: Progress, workers: int, seen: dict[bytes, str]
) -> Iterator[str]:
    """Yield a sentence for each unusable image, for faults of the images together, and for a damaged store.

    ``seen`` holds the pictures of the splits before by the hash of their pixels.
    """
    here = f"{data.name}/{data.split}"
    apart = data.split in info.distinct
    labelled = data.labelled and data.kind == "segmentation"

    def examine(i: int) -> tuple[str | None, Look | None, bytes]:
        try:
            image, labels = data.read(i)
        except DataError as error:
            return str(error), None, b""
        seen_as = hashlib.sha256(np.ascontiguousarray(image).data).digest() if apart else b""
        if not labelled:
            return None, None, seen_as
        return None, look(data.ids[i], labels, len(data.classes), data.stored(i) if data.stored else None), seen_as

    looks, twins = [], dict[bytes, str]()
    for i, (fault, one, picture) in enumerate(ordered(examine, len(data), workers)):
        progress(data.split, i + 1, len(data))
        if fault:
            yield fault
        if one is not None:
            looks.append(one)
        if picture:
            twins[picture] = f"{here}: {data.ids[i]}"
    yield from (f"{twins[p]} is the same picture as {seen[p]}; remove one of the two" for p in twins if p in seen)
    seen |= twins
    try:
        data.judge()
    except DataError as error:
        yield str(error)
    yield from (f"{here}: {fault}" for fault in _labels(info, data.split, looks))
    yield from _store(data)


def _labels(info: DatasetInfo, split: str, looks: list[Look]) -> Iterator[str]:
    """Yield the faults of a split's labels together, compared with its published pixel counts."""
    own = info.pixels.get(split)
    known = own or next(iter(info.pixels.values()), None)
    reference = Published(known, scenes=info.scenes) if known else None
    whole = len(looks) == info.images[split] and (own is not None or not info.pixels)
    yield from faults(looks, info.classes, reference, whole=whole)


def _store(data: Dataset) -> Iterator[str]:
    """Yield a sentence if the store of a split is damaged."""
    try:
        store = kept(data)
    except DataError:  # a missing file is reported above, a cache within the data root by ``open_store``
        return
    if store is not None and not store.verify():
        first = next(iter(store.damaged()), "its index")
        yield f"store {store.folder} is damaged ({first} first); remove the folder, or let the next run decode it again"


def _joint(info: DatasetInfo, loaded: dict[str, Dataset], root: Path | None) -> Iterator[Line]:
    """Yield the counts that the paper reports of two splits together, where this data set's own ones are loaded."""
    for joint in info.joint:
        if any(name == info.name and split not in loaded for name, split in joint.parts):
            continue
        try:
            a, b = (loaded[split] if name == info.name else load(name, split, root) for name, split in joint.parts)
        except DataError as error:
            yield Line(joint.name, None, joint.images, (str(error),), refused=not isinstance(error, AbsentError))
            continue
        yield Line(joint.name, len(set(a.ids) & set(b.ids)) if joint.shared else len(a) + len(b), joint.images)
