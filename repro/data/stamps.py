"""What the files of a data set looked like when they were decoded: size and time of change."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.data.dataset import DataError, Dataset


@dataclass(frozen=True)
class Stamps:
    """Size and modification time (ns) of each source file, and what else decides the content."""

    files: Mapping[str, tuple[int, int]]
    version: str

    @classmethod
    def of(cls, dataset: Dataset) -> Stamps:
        """Look at every source file; raise ``DataError`` naming one that is gone."""
        paths = {path for i in range(len(dataset)) for path in dataset.sources(i)}
        files = {str(path): _stamp(path) for path in sorted(paths)}
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

    def change(self, before: Stamps) -> str | None:
        """Say what differs from ``before``, or None."""
        if self == before:
            return None
        names = sorted(set(self.files) | set(before.files))
        changed = [name for name in names if self.files.get(name) != before.files.get(name)]
        if changed:
            return f"{len(changed)} of its source files changed since it was decoded, the first is {changed[0]}"
        return "its code, classes or list of images changed since it was decoded"


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(
            f"file {path} cannot be read ({error.strerror}); restore it from the published archive"
        ) from error
    return status.st_size, status.st_mtime_ns
