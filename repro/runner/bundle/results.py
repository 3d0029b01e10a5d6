"""Results of a slot: records in a few archives, rewritten as each run ends, and the weights that were asked for.

Every archive is written aside and renamed, so that it is whole however the slot ends.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from repro.results.records import Record
from repro.runner.bundle import archive
from repro.runner.bundle.archive import Member
from repro.runner.bundle.make import write
from repro.runner.bundle.manifest import File, Manifest

FILE_SIZE = 16 * 2**20
"""Bytes of a file that a slot lets back."""
SUMS = "sha256.json"
"""Member of an archive of records: checksum of every other member, and the bundle that they come from."""
WEIGHTS = "weights.safetensors"


class Results:
    """The folder that comes back."""

    def __init__(self, folder: Path, manifest: Manifest, file_size: int = FILE_SIZE) -> None:
        """Take the folder, the bundle, and the size that no file should exceed."""
        self.folder, self.manifest, self.file_size = folder, manifest, file_size
        self._groups: list[list[Path]] = [[]]

    def add(self, record: Path) -> None:
        """Archive a finished record, its weights left out."""
        group = self._groups[-1]
        if record in (known for group in self._groups for known in group):
            return
        group.append(record)
        if self._write(len(self._groups)) > self.file_size and len(group) > 1:
            group.pop()
            self._write(len(self._groups))
            self._groups.append([record])
            self._write(len(self._groups))

    def _write(self, number: int) -> int:
        """Write one of the archives; return its size."""
        path = self.folder / ("records.tar.gz" if number == 1 else f"records-{number}.tar.gz")
        archive.write_tar(path, self._members(self._groups[number - 1]), compressed=True)
        return path.stat().st_size

    def _members(self, group: list[Path]) -> Iterator[Member]:
        found = {
            f"{folder.name}/{file.name}": file.read_bytes()
            for folder in sorted(group)
            for file in sorted(folder.iterdir())
            if file.name != WEIGHTS and file.is_file()
        }
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}
        head = {"bundle": self.manifest.identity, "commit": self.manifest.commit, "files": sums}
        for name, data in {SUMS: json.dumps(head, indent=1, sort_keys=True).encode(), **found}.items():
            yield name, len(data), io.BytesIO(data)

    def bring(self, record: Record) -> list[Path]:
        """Write the weights of a record in float16, in parts of the file size; return them."""
        data = half(record.folder / WEIGHTS, record.meta)
        path = f"{record.name}/{WEIGHTS}"
        file = File(path, len(data), hashlib.sha256(data).hexdigest())
        manifest = Manifest(commit=self.manifest.commit, files=(file,), parts=(), record=record.name)
        return list(write(manifest, {path: data}, self.folder / f"weights-{record.name}.tar", self.file_size).archives)

    def summary(self, tree: Mapping[str, Any]) -> None:
        """Write what ran and how it ended."""
        data = (json.dumps(tree, indent=1) + "\n").encode()
        aside = self.folder / ".summary.json"
        aside.write_bytes(data)
        aside.replace(self.folder / "summary.json")


def half(path: Path, meta: Mapping[str, Any]) -> bytes:
    """Return trained weights in float16 as safetensors, as ``repro export`` writes them, without torch.

    A tensor that float16 cannot hold (a value above 65,504) stays float32.
    """
    import numpy as np
    from safetensors.numpy import load_file, save

    def narrowed(array: Any) -> Any:  # noqa: ANN401 - an array of any kind
        if array.dtype.kind != "f":
            return array
        with np.errstate(over="ignore"):
            small = array.astype(np.float16)
        return small if np.isfinite(small).all() else array.astype(np.float32)

    described = {name: str(meta.get(name, "")) for name in ("key", "seed", "profile", "slug", "recipe", "git_commit")}
    described |= {"spec": json.dumps(meta["spec"]), "classes": json.dumps(meta.get("classes", [])), "format": "pt"}
    found: bytes = save({name: narrowed(array) for name, array in load_file(path).items()}, metadata=described)
    return found
