"""Look at a data set whole: counts beside the paper's, and every image with its labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from repro.data import DataError, Dataset, counts, load, splits
from repro.data.dataset import AbsentError
from repro.data.parallel import ordered

Progress = Callable[[str, int, int], None]
_JOINED = frozenset({"trainval"})
"""Splits whose images are all read under other names."""


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
    for split in splits(dataset):
        try:
            loaded[split] = load(dataset, split, root)
        except DataError as error:
            lines.append(Line(split, None, expected.get(split), (str(error),), not isinstance(error, AbsentError)))
            continue
        faults = () if split in _JOINED else tuple(_faults(loaded[split], progress, workers))
        lines.append(Line(split, len(loaded[split]), expected.get(split), faults))
    if not loaded:
        raise DataError(next((line for line in lines if line.refused), lines[0]).faults[0])
    return Report(dataset, (*lines, *_joint(dataset, loaded, root)))


def _faults(data: Dataset, progress: Progress, workers: int) -> Iterator[str]:
    """Yield a sentence for each image that cannot be used."""

    def look(i: int) -> str | None:
        try:
            data.read(i)
        except DataError as error:
            return str(error)
        return None

    for done, fault in enumerate(ordered(look, len(data), workers), start=1):
        progress(data.split, done, len(data))
        if fault:
            yield fault


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
