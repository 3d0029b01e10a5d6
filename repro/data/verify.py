"""Look at a data set whole: counts beside the paper's, every image with its labels, classes beside the published."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repro.config import dataset_info
from repro.config.errors import AbsentError, DataError
from repro.data import counts, load, splits
from repro.data.cache import kept
from repro.data.dataset import Dataset
from repro.data.io import ordered
from repro.data.shares import Look, Published, faults, look

Progress = Callable[[str, int, int], None]
_JOINED = frozenset({"trainval"})
"""Splits whose images are all read under other names."""
_APART = {
    "camvid": ("train", "val", "test"),
    "camvid_half": ("train", "val", "test"),
    "cityscapes": ("train", "val", "test", "train_extra"),
}
"""Splits of frames of films, no two of which are the same picture; photographs of the web are at times (ImageNet)."""
_SCENES = ("camvid",)
"""Data sets each of whose images shows about all classes."""


@dataclass(frozen=True)
class Line:
    """One split: images found (None: it cannot be loaded), images that the paper or the publisher counts, faults."""

    name: str
    found: int | None
    expected: int | None
    faults: tuple[str, ...] = ()
    refused: bool = False
    """Whether it is there and cannot be loaded."""

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
    """What ``check`` found."""

    dataset: str
    lines: tuple[Line, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that is wrong, a sentence each and each once, files named by path."""
        return tuple(dict.fromkeys(fault for line in self.lines for fault in line.faults))

    @property
    def ok(self) -> bool:
        """Whether something is there, nothing is wrong with it, and every count is as published."""
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
    expected, lines = counts(dataset), []
    loaded: dict[str, Dataset] = {}
    seen: dict[bytes, str] = {}
    for split in splits(dataset):
        try:
            loaded[split] = load(dataset, split, root)
        except DataError as error:
            lines.append(Line(split, None, expected.get(split), (str(error),), not isinstance(error, AbsentError)))
            continue
        faults = () if split in _JOINED else tuple(_faults(loaded[split], progress, workers, seen))
        lines.append(Line(split, len(loaded[split]), expected.get(split), faults))
    if not loaded:
        raise DataError(next((line for line in lines if line.refused), lines[0]).faults[0])
    return Report(dataset, (*lines, *_joint(dataset, loaded, root)))


def _faults(data: Dataset, progress: Progress, workers: int, seen: dict[bytes, str]) -> Iterator[str]:
    """Yield a sentence for each image that cannot be used, then for the images together, then for a damaged store.

    ``seen`` holds the pictures of the splits before by the hash of their pixels.
    """
    here = f"{data.name}/{data.split}"
    apart = data.name in _APART and data.split in _APART[data.name]
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
    yield from (f"{here}: {fault}" for fault in _labels(data, looks))
    yield from _store(data)


def _labels(data: Dataset, looks: list[Look]) -> Iterator[str]:
    """Yield what is wrong with the labels of a split taken together, beside what was published of it."""
    name = "camvid" if data.name == "camvid_half" else data.name
    tables = dataset_info.PIXELS.get(name, {})
    own = tables.get(data.split)
    known = own or next(iter(tables.values()), None)
    reference = Published(known, scenes=name in _SCENES) if known else None
    whole = len(looks) == dataset_info.images(data.name, data.split) and (own is not None or not tables)
    yield from faults(looks, data.classes, reference, whole=whole)


def _store(data: Dataset) -> Iterator[str]:
    """Yield that the decoded store of a split is damaged, where there is one."""
    try:
        store = kept(data)
    except DataError:  # a file that is gone is named above; a cache in the data root by whoever writes there
        return
    if store is not None and not store.verify():
        first = next(iter(store.damaged()), "its index")
        yield f"store {store.folder} is damaged ({first} first); remove the folder, or let the next run decode it again"


def _joint(dataset: str, loaded: dict[str, Dataset], root: Path | None) -> Iterator[Line]:
    """Yield the counts that the paper prints of several splits together."""
    if dataset == "cityscapes" and {"train", "train_extra"} <= set(loaded):
        yield Line("train + train_extra", len(loaded["train"]) + len(loaded["train_extra"]), 22_973)
    if dataset == "voc" and {"trainaug", "val"} <= set(loaded):
        yield Line("trainaug also in val", len(set(loaded["trainaug"].ids) & set(loaded["val"].ids)), 0)
    if dataset == "coco" and "trainval" in loaded:
        try:
            yield Line("trainval + voc trainaug", len(loaded["trainval"]) + len(load("voc", "trainaug", root)), 109_892)
        except DataError as error:
            refused = not isinstance(error, AbsentError)
            yield Line("trainval + voc trainaug", None, 109_892, (str(error),), refused)
