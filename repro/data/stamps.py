"""How the files of a data set looked when they were decoded: size and time of change, of lists the content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.data.dataset import DataError, Dataset


@dataclass(frozen=True)
class Stamps:
    """Size and modification time (ns) of each source file, size and hash of each list, and the loader's version.

    Files below the data root are named from there, so that the same root under another name has the same stamps.
    """

    files: Mapping[str, tuple[int, int]]
    version: str

    @classmethod
    def of(cls, dataset: Dataset) -> Stamps:
        """Look at every source file; raise ``DataError`` naming one that is gone."""
        paths = {str(path) for i in range(len(dataset)) for path in dataset.sources(i)}
        stamps = {path: _stamp(path) for path in paths} | {str(path): _hash(path) for path in dataset.lists}
        above = f"{dataset.root}{os.sep}" if dataset.root else ""
        files = {path.removeprefix(above): stamps[path] for path in sorted(stamps)}
        names = hashlib.sha256("\n".join(dataset.ids).encode()).hexdigest()
        return cls(files, repr((dataset.version, dataset.kind, dataset.classes, names)))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Stamps:
        """Read what ``arrays`` wrote."""
        paths, stamps = arrays["stamp_paths"].tolist(), arrays["stamps"].tolist()
        return cls(
            {path: (size, time) for path, (size, time) in zip(paths, stamps, strict=True)}, str(arrays["version"])
        )

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return arrays for an ``.npz`` file."""
        stamps = np.array(list(self.files.values()), dtype=np.int64).reshape(-1, 2)
        return {
            "stamp_paths": np.array(list(self.files), dtype=str),
            "stamps": stamps,
            "version": np.array(self.version),
        }

    def change(self, before: Stamps, root: Path | None = None) -> str | None:
        """Say how a data set's files differ from ``before``, or None; files are named below ``root``."""
        if self == before:
            return None
        names = sorted(set(self.files) | set(before.files))
        changed = [name for name in names if self.files.get(name) != before.files.get(name)]
        if changed:
            first = root / changed[0] if root else changed[0]
            return f"{len(changed)} of its source files changed since it was decoded, the first is {first}"
        return "its code, classes or list of images changed since it was decoded"


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path for each of 100,000 files takes longer than the look at it
    except OSError as error:
        raise _gone(path, error) from error
    return status.st_size, status.st_mtime_ns


def _hash(path: Path) -> tuple[int, int]:
    """Return size and hash of a list: it is small, and a copy of it with another date is the same list."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _gone(str(path), error) from error
    return len(content), int.from_bytes(hashlib.sha256(content).digest()[:8], "big", signed=True)


def _gone(path: str, error: OSError) -> DataError:
    return DataError(f"file {path} cannot be read ({error.strerror}); restore it from the published archive")
