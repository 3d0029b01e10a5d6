"""Append, load and retract the records of runs: folders that merge, files that never change."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro import answers
from repro.answers import Answer
from repro.identity import Identity
from repro.identity import read as read_identity
from repro.withdrawn import move_aside, withdrawn

if TYPE_CHECKING:  # a plan reads records without their counts, and starts without numpy
    import numpy as np
    from numpy.typing import NDArray

    Counts = Mapping[str, NDArray[np.int64]]

SCHEMA = 1


class RecordError(ValueError):
    """A record that cannot be read or written, in one sentence."""


@dataclass(frozen=True)
class Record:
    """What one run left behind. ``meta`` is ``record.json`` whole.

    ``counts`` (loaded when asked for): ``classes`` (n, c, 3) int, per image and class the pixels
    of the intersection, the prediction and the label; ``distance`` (n, 42, 2) int, per image and
    distance to the boundary in steps of one pixel (bin d holds distances in (d-1, d], the last one
    the rest) the pixels right and seen; ``size`` (n, 21, 2) int, the same by the size of the object
    that a pixel lies in (bin s holds objects of 2^s to 2^(s+1) - 1 pixels; older records lack it);
    ``top5`` (n, 2) for classifiers: right in one, in five.
    """

    folder: Path
    meta: Mapping[str, Any] = field(compare=False)
    place: str
    """"reference" or "local"."""

    @property
    def key(self) -> str:
        """The run's content key."""
        return str(self.meta["key"])

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.meta["seed"])

    @property
    def status(self) -> str:
        """``ok``, ``diverged`` or ``interrupted``."""
        return str(self.meta["status"])

    @property
    def name(self) -> str:
        """The folder's name, which names the run in every output."""
        return self.folder.name

    @cached_property
    def identity(self) -> Identity:
        """The data, start weights and arithmetic behind the outcome."""
        return read_identity(self.meta)

    @cached_property
    def digest(self) -> str:
        """sha256 of ``record.json`` as it lies there, by which descendants name the record; empty where it is gone."""
        import hashlib

        try:
            return hashlib.sha256((self.folder / "record.json").read_bytes()).hexdigest()
        except OSError:
            return ""

    def counts(self) -> dict[str, NDArray[np.int64]]:
        """Read the raw counts; raise ``RecordError`` where they are missing or damaged."""
        import zipfile
        import zlib

        from repro import arrays

        path = self.folder / "counts.npz"
        try:
            return {name: array.astype("int64") for name, array in arrays.read(path).items()}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            why = (error.strerror if isinstance(error, OSError) else "") or error
            msg = f"{path}: counts cannot be read ({why}); retract the record or restore the file"
            raise RecordError(msg) from error

    def log(self) -> list[dict[str, Any]]:
        """Read the training log: one mapping a line, lines cut short left out."""
        path = self.folder / "log.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


@dataclass(frozen=True)
class Shelf:
    """All records under some roots, and what was passed over and why."""

    records: tuple[Record, ...]
    passed_over: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()
    """What test servers answered, see ``repro.answers``."""

    def of(self, key: str, place: str | None = None) -> tuple[Record, ...]:
        """Return the records of one key, in order of their seeds."""
        found = (r for r in self._by_key.get(key, ()) if place in (None, r.place))
        return tuple(sorted(found, key=lambda r: (r.place, r.seed)))

    @cached_property
    def _by_key(self) -> Mapping[str, list[Record]]:
        found: dict[str, list[Record]] = {}
        for record in self.records:
            found.setdefault(record.key, []).append(record)
        return found


def load(roots: Mapping[str, Path]) -> Shelf:
    """Read every record under ``roots`` (place -> folder); say which ones were passed over."""
    records: list[Record] = []
    passed_over: list[str] = []
    for place, root in roots.items():
        for path in sorted(root.glob("*/record.json")):
            if path.parent.name.startswith(".") or withdrawn(path.parent):
                continue  # a hidden folder is a record that is being written
            try:
                records.append(_read(path, place))
            except RecordError as error:
                passed_over.append(str(error))
    found, faults = answers.load(roots)
    return Shelf(tuple(records), (*passed_over, *faults), found)


def _read(path: Path, place: str) -> Record:
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path}: cut short or unreadable, passed over and left in place ({error})"
        raise RecordError(msg) from error
    schema = meta.get("schema") if isinstance(meta, dict) else None
    if schema != SCHEMA:
        msg = f"{path}: schema {schema!r} is unknown to this version (it reads {SCHEMA}), passed over"
        raise RecordError(msg)
    if missing := [name for name in ("key", "seed", "status", "spec") if name not in meta]:
        msg = f"{path}: lacks {', '.join(missing)}, passed over"
        raise RecordError(msg)
    if not isinstance(meta["key"], str) or not isinstance(meta["seed"], int):
        msg = f"{path}: key {meta['key']!r} or seed {meta['seed']!r} is of the wrong kind, passed over"
        raise RecordError(msg)
    return Record(path.parent, meta, place)


def present(folder: Path) -> bool:
    """Say whether a folder holds a record, readable or not, that was not retracted."""
    return (folder / "record.json").exists() and not withdrawn(folder)


def stands(root: Path, name: str) -> bool:
    """Say whether the run of this name has its record, a retracted one not counted.

    Raises:
        RecordError: there is one that no table would read.
    """
    folder = root / name
    if not present(folder):
        return False
    with suppress(RecordError):
        record = _read(folder / "record.json", "local")
        own = re.search(rf"{re.escape(record.key)}-s{record.seed}(-d[0-9a-f]+)?(-cuda|-cpu)?$", name)
        if own and record.status in {"ok", "diverged"}:
            return True
    msg = f"{folder}: its record cannot be used; withdraw it (repro retract {name} --why damaged) and run again"
    raise RecordError(msg)


def append(root: Path, name: str, meta: Mapping[str, Any], counts: Counts, extra: Iterable[Path] = ()) -> Path:
    """Write a record whole or not at all; refuse to overwrite one. A retracted one of its name moves aside.

    Args:
        root: folder of records, such as ``runs/local``.
        name: folder name of the run.
        meta: everything of ``record.json`` but the schema.
        counts: arrays for ``counts.npz`` (none for a diverged run).
        extra: files that are moved beside them (log, weights).

    Raises:
        RecordError: a record of this name exists, or the disk refuses.
    """
    import shutil
    import tempfile

    target = root / name
    if present(target):
        msg = f"{target}: a record is never overwritten; retract it first (repro retract {name})"
        raise RecordError(msg)
    try:
        root.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=root))
        try:
            _fill(partial, meta, counts, extra)
            if withdrawn(target):
                move_aside(target)
            partial.replace(target)
            _through(root)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        why = error.strerror or error
        msg = f"{target}: the record cannot be written ({why}); free space or choose another --runs folder"
        raise RecordError(msg) from error
    return target


def _fill(folder: Path, meta: Mapping[str, Any], counts: Counts, extra: Iterable[Path]) -> None:
    import shutil

    import numpy as np

    if counts:
        small = {name: _smallest(array) for name, array in counts.items()}
        np.savez_compressed(folder / "counts.npz", allow_pickle=False, **small)
    for path in extra:
        shutil.copy2(path, folder / path.name)
    text = json.dumps({"schema": SCHEMA, **meta}, indent=1, sort_keys=True, allow_nan=False)
    (folder / "record.json").write_text(text + "\n", encoding="utf-8")
    folder.chmod(0o755)
    for path in (*folder.iterdir(), folder):
        _through(path)


def _through(path: Path) -> None:
    """Have the disk keep a file or folder: the checkpoints are deleted next, and a power cut may follow."""
    if path.is_dir() and os.name == "nt":  # which opens no folder
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _smallest(array: NDArray[np.int64]) -> NDArray[Any]:
    """Store counts as uint32, or as they are where they do not fit."""
    import numpy as np

    if array.size and array.min() >= 0 and array.max() < 2**32:
        return array.astype(np.uint32)
    return array
