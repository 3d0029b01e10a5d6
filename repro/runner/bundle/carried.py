"""Which files of a data root a split consists of, found by loading it and proved by loading it from them alone."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from repro.config.errors import BundleError, DataError
from repro.data import Dataset, load


class _Opened:
    """The files that this process opens while ``watching``; Python keeps an audit hook until it ends."""

    def __init__(self) -> None:
        self.paths: set[str] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.paths is not None and event == "open" and isinstance(args[0], str | os.PathLike):
            self.paths.add(os.fspath(args[0]))

    @contextmanager
    def watching(self) -> Iterator[set[str]]:
        """Yield the set that the paths go to."""
        paths: set[str] = set()
        self.paths = paths
        try:
            yield paths
        finally:
            self.paths = None


_hook: list[_Opened] = []


def files_of(splits: Iterable[tuple[str, str]], root: Path) -> dict[str, tuple[Path, ...]]:
    """Return the files below ``root``, relative to it, that each split consists of: images, masks, lists.

    Args:
        splits: data set and split of each; the key of the result is ``dataset/split``.
        root: the data root; only read.

    Raises:
        BundleError: loaded from all these files alone, one of them would be another split.
        DataError: one cannot be loaded.
    """
    if not _hook:
        _hook.append(_Opened())
    found: dict[str, tuple[Path, ...]] = {}
    loaded: list[Dataset] = []
    for dataset, split in splits:
        with _hook[0].watching() as opened:
            data = load(dataset, split, root)
        paths = {path for i in range(len(data)) for path in data.sources(i)}
        paths |= {Path(path) for path in opened if Path(path).is_relative_to(root) and Path(path).is_file()}
        found[f"{dataset}/{split}"] = tuple(sorted(path.relative_to(root) for path in paths))
        loaded.append(data)
    _prove(loaded, {path for paths in found.values() for path in paths}, root)
    return found


def _prove(loaded: list[Dataset], files: set[Path], root: Path) -> None:
    """Load every split from links to the files alone and compare names and sources."""
    with tempfile.TemporaryDirectory(prefix="repro-bundle-") as name:
        alone = Path(name)
        for file in files:
            (alone / file).parent.mkdir(parents=True, exist_ok=True)
            (alone / file).symlink_to((root / file).absolute())
        for data in loaded:
            why = ""
            try:
                again = load(data.name, data.split, alone)
            except DataError as error:
                why = f" ({str(error).replace(name, str(root))})"
            else:
                if again.ids == data.ids and _sources(again, alone) == _sources(data, root):
                    continue
            raise BundleError(
                f"{data.name}/{data.split}: without the other files of {root} it is another split{why}; carry the "
                "whole data set by hand and use repro run there"
            )


def _sources(data: Dataset, root: Path) -> list[tuple[Path, ...]]:
    return [tuple(path.relative_to(root) for path in data.sources(i)) for i in range(len(data))]
