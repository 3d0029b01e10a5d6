"""The contents of a bundle: files with checksums and the part that holds each, and the jobs in order of priority."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from repro.config.errors import BundleError, RecordError
from repro.config.experiment import Job
from repro.config.hashing import canonical
from repro.results.restore import rebuilt

SCHEMA = 1
NAME = "bundle.json"
"""The first member of every part."""
CODE, DATA, WEIGHTS = "repro", "data", "weights"
"""Top folders of a bundle."""


@dataclass(frozen=True)
class File:
    """A file of the bundle, by its path inside it."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Piece:
    """A range of bytes of a file; most files are one piece."""

    path: str
    offset: int
    size: int


@dataclass(frozen=True)
class Split:
    """A split of a data set as decoded where the bundle was made."""

    name: str
    """``dataset/split``."""
    fingerprint: str
    """Of its store, see ``data.store.Store``."""
    files: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """Everything that a bundle holds. All of its parts carry the same one."""

    commit: str
    files: tuple[File, ...]
    parts: tuple[tuple[Piece, ...], ...]
    jobs: tuple[Job, ...] = ()
    splits: tuple[Split, ...] = ()
    weights: str = ""
    """Path of the ImageNet weights; empty where no run starts from them."""
    record: str = ""
    """Name of the record whose trained weights these are; empty for a bundle of code and data."""
    memory: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Bytes that a training takes, by kind of device (``cpu``, ``cuda``) and key; what nothing tells is left out."""

    @property
    def identity(self) -> str:
        """sha256 of the manifest; parts of one bundle share it."""
        return hashlib.sha256(_text(self.tree()).encode()).hexdigest()

    @property
    def by_path(self) -> Mapping[str, File]:
        """The files by their paths."""
        return {file.path: file for file in self.files}

    def needs(self, job: Job) -> tuple[str, ...]:
        """Return the files that a job reads, the code left out."""
        used = {f"{s.dataset}/{s.split}" for s in (job.run.test, *(job.run.train if job.trains else ()))}
        found = [path for split in self.splits if split.name in used for path in split.files]
        return (*found, *([self.weights] if self.weights and job.trains and job.run.from_file else []))

    def parts_of(self, paths: Iterable[str]) -> frozenset[int]:
        """Return the numbers, from 1, of the parts that hold any piece of some files."""
        wanted = frozenset(paths)
        return frozenset(
            number for number, pieces in enumerate(self.parts, 1) if any(piece.path in wanted for piece in pieces)
        )

    def tree(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        index = {file.path: i for i, file in enumerate(self.files)}
        return {
            "schema": SCHEMA,
            "commit": self.commit,
            "files": [[file.path, file.size, file.sha256] for file in self.files],
            "parts": [[[index[p.path], p.offset, p.size] for p in pieces] for pieces in self.parts],
            "specs": {job.run.key: canonical(job.run) for job in self.jobs},
            "jobs": [{"key": j.run.key, "seed": j.seed, "name": j.name, "after": list(j.after)} for j in self.jobs],
            "splits": [asdict(split) for split in self.splits],
            "weights": self.weights,
            "record": self.record,
            "memory": {kind: dict(known) for kind, known in self.memory.items()},
        }


def text(manifest: Manifest, part: int) -> bytes:
    """Return the first member of part number ``part``."""
    return _text({"part": part, "identity": manifest.identity, "manifest": manifest.tree()}).encode()


def parse(data: bytes, where: Path) -> tuple[Manifest, int]:
    """Return what ``text`` wrote: the manifest and the part's number, from 1.

    Raises:
        BundleError: it is damaged, was changed, or was written by a version with other contents.
    """
    damaged = f"{where}: its {NAME} cannot be read; transfer the archive again"
    try:
        tree = json.loads(data)
        part, said, body = int(tree["part"]), str(tree["identity"]), tree["manifest"]
        intact, schema = hashlib.sha256(_text(body).encode()).hexdigest() == said, body["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(damaged) from error
    if not intact:
        raise BundleError(f"{where}: its {NAME} was changed after the bundle was made; transfer the archive again")
    if schema != SCHEMA:
        raise BundleError(f"{where}: schema {schema!r} is unknown to this version (it reads {SCHEMA})")
    try:
        manifest = _manifest(body)
    except RecordError as error:
        raise BundleError(f"{where}: made from commit {body['commit']}, whose runs this code cannot express") from error
    except (LookupError, TypeError, AttributeError) as error:
        raise BundleError(damaged) from error
    if not 1 <= part <= len(manifest.parts):
        raise BundleError(f"{where}: says it is part {part} of {len(manifest.parts)}; transfer the archive again")
    return manifest, part


def _manifest(body: Mapping[str, Any]) -> Manifest:
    files = tuple(File(safe(str(path)), int(size), str(digest)) for path, size, digest in body["files"])
    runs = {name: rebuilt(spec, name) for name, spec in body["specs"].items()}
    jobs = tuple(Job(runs[j["key"]], int(j["seed"]), tuple(map(str, j["after"]))) for j in body["jobs"])
    return Manifest(
        commit=str(body["commit"]),
        files=files,
        parts=tuple(tuple(Piece(files[i].path, int(at), int(n)) for i, at, n in pieces) for pieces in body["parts"]),
        jobs=jobs,
        splits=tuple(Split(s["name"], s["fingerprint"], tuple(s["files"])) for s in body["splits"]),
        weights=str(body["weights"]),
        record=str(body["record"]),
        memory={str(kind): {str(k): int(n) for k, n in known.items()} for kind, known in body["memory"].items()},
    )


def safe(path: str) -> str:
    """Return a relative path without ``..``; raise ``BundleError`` for any other."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path or str(pure) != path:
        raise BundleError(f"{path!r}: a name that leaves the folder it is unpacked to; do not use this archive")
    return path


def _text(tree: Any) -> str:  # noqa: ANN401 - a tree of plain values
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
