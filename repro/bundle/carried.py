"""Which files of a data root a split consists of, found by loading it and proved by loading it from them alone."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from repro.bundle.manifest import BundleError
from repro.data import DataError, Dataset, load


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


def files_of(dataset: str, split: str, root: Path) -> tuple[Dataset, tuple[Path, ...]]:
    """Return a split and the files below ``root``, relative to it, that it consists of: images, masks, lists.

    Raises:
        BundleError: loaded from these files alone, it would be another split.
        DataError: it cannot be loaded.
    """
    if not _hook:
        _hook.append(_Opened())
    with _hook[0].watching() as opened:
        data = load(dataset, split, root)
    found = {path for i in range(len(data)) for path in data.sources(i)}
    found |= {Path(path) for path in opened if Path(path).is_relative_to(root) and Path(path).is_file()}
    files = tuple(sorted(path.relative_to(root) for path in found))
    _prove(data, files, root)
    return data, files


def _prove(data: Dataset, files: tuple[Path, ...], root: Path) -> None:
    """Load the split from links to its files alone and compare names and sources."""
    with tempfile.TemporaryDirectory(prefix="repro-bundle-") as name:
        alone = Path(name)
        for file in files:
            (alone / file).parent.mkdir(parents=True, exist_ok=True)
            (alone / file).symlink_to((root / file).absolute())
        why = ""
        try:
            again = load(data.name, data.split, alone)
        except DataError as error:
            why = f" ({str(error).replace(name, str(root))})"
        else:
            places = [tuple(p.relative_to(alone) for p in again.sources(i)) for i in range(len(again))]
            if again.ids == data.ids and places == [
                tuple(p.relative_to(root) for p in data.sources(i)) for i in range(len(data))
            ]:
                return
    raise BundleError(
        f"{data.name}/{data.split}: without the other files of {root} it is another split{why}; "
        "carry the whole data set by hand and use `repro run` there"
    )
