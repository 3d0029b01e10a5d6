"""Load and append the records of runs: one folder a run, whose files are written once and never changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.config.errors import RecordError
from repro.config.hashing import key_of_tree
from repro.config.identity import Identity
from repro.config.identity import read as read_identity
from repro.config.io import through
from repro.results import exported, sealed, server_scores
from repro.results.retraction import first_name, move_aside, reason, withdraw, withdrawn
from repro.results.server_scores import Answer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Counts = Mapping[str, NDArray[np.int64]]


SCHEMA = 2
"""Of the records that are written: 2 has ``sums`` (the sha256 of each file beside it) and a checksum of itself."""
READABLE = (1, 2)
FILE, COUNTS, WEIGHTS, LOG = "record.json", "counts.npz", "weights.safetensors", "log.jsonl"
_LONGEST_LOG = 1 << 26
_LARGEST_COUNTS = 1 << 28
"""Bytes, whatever a record says of its images and classes."""
_COLUMNS = 256
"""Numbers of an image in counts other than those by class, at most."""
_TEXT, _WHOLE = (str,), (int,)
_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("key", "status", "profile", "recipe", "slug", "weights_file", "weights_from"), _TEXT),
    **dict.fromkeys(("seed", "test_images", "steps"), _WHOLE),
    **dict.fromkeys(("spec", "data", "sums", "identity"), (dict,)),
    "classes": (list,),
}
"""Types of the fields that results depend on, where they are present and not null; other fields are only shown."""
_NEEDED = ("key", "seed", "status", "spec")
OWN_NAME = re.compile(r"-(?P<key>[0-9a-f]{10})-s(?P<seed>\d+)(-d[0-9a-f]+)?")
"""End of a folder's name as runs write it; copies may have other names."""
_SUM = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Record:
    """The results of one run. ``meta`` is the content of ``record.json``.

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

    @property
    def device_type(self) -> str:
        """The kind of device that made it, ``cpu`` or ``cuda``."""
        return str(self.identity.arithmetic.get("device_type"))

    @cached_property
    def identity(self) -> Identity:
        """The data, start weights and arithmetic behind the outcome."""
        return read_identity(self.meta)

    @cached_property
    def digest(self) -> str:
        """sha256 of ``record.json``, by which later records refer to this one; empty where the file is gone."""
        import hashlib

        try:
            return hashlib.sha256((self.folder / FILE).read_bytes()).hexdigest()
        except OSError:
            return ""

    @property
    def built_on(self) -> tuple[str, str]:
        """Name and digest of the record whose weights the run started from or evaluated.

        Both are empty where there is none; the digest is also empty in a record of schema 1.
        """
        return str(self.meta.get("weights_from") or ""), self.identity.parent

    def counts(self) -> dict[str, NDArray[np.int64]]:
        """Read the raw counts.

        Raises:
            RecordError: they are missing, damaged, not what the run wrote, or no whole numbers.
        """
        from repro.results import arrays

        path = self.folder / COUNTS
        most = self._largest_counts
        try:
            data = sealed.contents(path, most + (1 << 16))
            self._check(COUNTS, data)
            return {name: _whole(name, array) for name, array in arrays.parse(data, most).items()}
        except (OSError, ValueError) as error:
            msg = f"{path}: counts cannot be read ({sealed.cause(error)}); retract the record or restore the file"
            raise RecordError(msg) from error

    @property
    def _largest_counts(self) -> int:
        """Most bytes that the counts of the record's images and classes can have."""
        images, classes = self.meta.get("test_images"), self.meta.get("classes")
        if images is None or classes is None:
            return _LARGEST_COUNTS
        return min(_LARGEST_COUNTS, 8 * int(images) * (3 * len(classes) + _COLUMNS) + (1 << 12))

    def log(self) -> list[dict[str, Any]]:
        """Read the training log: one mapping a line; incomplete lines are skipped.

        Raises:
            RecordError: the file cannot be read, or is not the one that the run wrote.
        """
        path = self.folder / LOG
        if not path.exists():
            return []
        try:
            data = sealed.contents(path, _LONGEST_LOG)
            self._check(LOG, data)
            lines = data.decode().splitlines()
            return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        except (OSError, ValueError, RecursionError) as error:
            raise RecordError(f"{path}: the log cannot be read ({sealed.cause(error)}); restore the file") from error

    def _check(self, name: str, data: bytes) -> None:
        """Raise ``ValueError`` where a file of the record is not the one that the run wrote."""
        import hashlib

        if self.sums is not None and hashlib.sha256(data).hexdigest() != self.sums.get(name):
            raise ValueError("it is not the file that the run wrote: its checksum differs from record.json's")

    @property
    def sums(self) -> Mapping[str, str] | None:
        """The sha256 of each file that the run wrote beside ``record.json``; None in schema 1, which has none."""
        return None if self.meta["schema"] == 1 else self.meta["sums"]

    def weights(self) -> Path:
        """Return the file of the trained weights after a check of its checksum.

        It is the file that the run wrote, or the export of it by ``repro export``. A record of schema 1 has no
        checksum of it; only exported weights are checked then, by their own.

        Raises:
            RecordError: there is no such file, or it is another or a damaged one.
        """
        path = self.folder / WEIGHTS
        remedy = f"restore the file, or retract the record (repro retract {self.name} --why 'weights damaged')"
        try:
            if self.sums is None:
                exported.origin(path)
                return path
            found = exported.first_source(path)
        except (OSError, ValueError) as error:
            raise RecordError(f"{path}: {sealed.cause(error)}; {remedy}") from error
        if found != self.sums.get(WEIGHTS):
            msg = f"{path}: damaged or of another run: its checksum differs from record.json's; {remedy} and run again"
            raise RecordError(msg)
        return path


def _sha256(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _whole(name: str, array: NDArray[Any]) -> NDArray[np.int64]:
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} holds {array.dtype}, not whole numbers")
    return array.astype("int64")


@dataclass(frozen=True)
class Withdrawal:
    """A record that was withdrawn, and the reason."""

    folder: Path
    place: str
    why: str

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name


@dataclass(frozen=True)
class RecordStore:
    """All records under some roots, and which were passed over and why."""

    records: tuple[Record, ...]
    passed_over: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()
    """Answers of test servers, see ``repro.results.server_scores``."""
    withdrawn: tuple[Withdrawal, ...] = ()
    """Records that were withdrawn; those that fell with them are among ``passed_over``."""

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


def load(roots: Mapping[str, Path]) -> RecordStore:
    """Read every record under ``roots`` (place -> folder), and why others were passed over.

    A record that was built on a withdrawn or replaced one of the same place is passed over, too.
    """
    records: list[Record] = []
    passed_over: list[str] = []
    withdrawals: list[Withdrawal] = []
    standing: dict[str, Callable[[str, str], str]] = {}
    for place, root in roots.items():
        found = _Root.read(root, place)
        records += found.standing
        passed_over += found.passed_over
        withdrawals += found.withdrawn.values()
        standing[place] = found.lost
    answered, faults = server_scores.load(roots, standing)
    return RecordStore(tuple(records), (*passed_over, *faults), answered, tuple(withdrawals))


@dataclass(frozen=True)
class _Root:
    """The records and withdrawals under one root, by folder name."""

    records: Mapping[str, Record]
    withdrawn: Mapping[str, Withdrawal]
    faults: tuple[str, ...] = ()

    @classmethod
    def read(cls, root: Path, place: str) -> _Root:
        records: dict[str, Record] = {}
        gone: dict[str, Withdrawal] = {}
        faults: list[str] = []
        try:
            folders = sorted(root.iterdir()) if root.is_dir() else []
        except OSError as error:
            folders, faults = [], [f"{root}: cannot be read ({error.strerror or error}), its records are passed over"]
        for folder in folders:
            if folder.name.startswith("."):  # a record that is being written
                continue
            if withdrawn(folder):
                gone[folder.name] = Withdrawal(folder, place, reason(folder))
            elif (folder / FILE).exists():
                try:
                    records[folder.name] = _read(folder / FILE, place)
                except RecordError as error:
                    faults.append(str(error))
        return cls(records, gone, tuple(faults))

    @cached_property
    def fell(self) -> Mapping[str, str]:
        """Reasons why records may not be used, by name."""
        found = ((name, self.fallen(record)) for name, record in self.records.items())
        return {name: why for name, why in found if why}

    @property
    def standing(self) -> list[Record]:
        """The records that may be used."""
        return [record for name, record in self.records.items() if name not in self.fell]

    @property
    def passed_over(self) -> list[str]:
        """Reasons why the others may not be used, without the withdrawn ones."""
        return [
            *self.faults,
            *(f"{self.records[name].folder}: {why}, passed over; run it again" for name, why in self.fell.items()),
        ]

    def fallen(self, record: Record, seen: frozenset[str] = frozenset()) -> str:
        """Return why a record is invalid because of a record that it was built on; empty where it is valid."""
        name, digest = record.built_on
        if not name or name in seen:
            return ""
        if why := self.lost(name, digest):
            return f"built on {why}"
        before = self.records.get(name)
        why = self.fallen(before, seen | {record.name}) if before else ""
        return f"built on {name}, which is {why}" if why else ""

    def lost(self, name: str, digest: str = "") -> str:
        """Return how the record of a name (and digest, where known) was withdrawn or replaced; empty where not."""
        last = [gone for own, gone in self.withdrawn.items() if first_name(own) == name]
        found = self.records.get(name)
        if last and (found is None or not digest):
            return f"{name}, which was withdrawn ({last[-1].why})"
        if found is not None and digest and found.digest != digest:
            return f"a record {name} that another one has replaced"
        return ""


def _read(path: Path, place: str) -> Record:
    try:
        meta = sealed.read(path)
    except (OSError, ValueError) as error:
        msg = f"{path}: cut short or unreadable, passed over and left in place ({sealed.cause(error)})"
        raise RecordError(msg) from error
    if fault := _fault(meta, path.parent.name):
        raise RecordError(f"{path}: {fault}, passed over")
    return Record(path.parent, meta, place)


def _fault(meta: Any, name: str) -> str:  # noqa: ANN401 - a tree of plain values
    """Return why a tree is not a record of a folder of this name; empty where it is."""
    schema: object = meta.get("schema") if isinstance(meta, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema not in READABLE:
        return f"schema {schema!r} is unknown to this version (it reads {' and '.join(map(str, READABLE))})"
    if missing := [part for part in (*_NEEDED, *(["sums"] if schema > 1 else [])) if meta.get(part) is None]:
        return f"lacks {', '.join(missing)}"
    return next(_kind_faults(meta), "") or (sealed.broken(meta) if schema > 1 else "") or _other_run(meta, name)


def _kind_faults(meta: Mapping[str, Any]) -> Iterator[str]:
    """Yield the faults of single fields: wrong types, negative numbers."""
    for part, kinds in _KINDS.items():
        value = meta.get(part)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
            yield f"{part} {value!r} is of the wrong kind"
        elif kinds is _WHOLE and isinstance(value, int) and value < 0:
            yield f"{part} {value} is below zero"
    if not all(isinstance(one, str) for one in meta.get("classes") or ()):
        yield "classes are not names"
    if not all(isinstance(one, str) and _SUM.fullmatch(one) for one in (meta.get("sums") or {}).values()):
        yield "sums are not checksums"


def _other_run(meta: Mapping[str, Any], name: str) -> str:
    """Return how a record's key differs from that of its spec or of its folder's name; empty where it does not."""
    if (key := key_of_tree(meta["spec"])) != meta["key"]:
        return f"its key {meta['key']} is not that of its spec, {key}"
    own = OWN_NAME.search(name)
    if own and (own["key"], int(own["seed"])) != (meta["key"], meta["seed"]):
        return f"it is of key {meta['key']} and seed {meta['seed']}, which its folder's name denies"
    return ""


def present(folder: Path) -> bool:
    """Return whether a folder holds a record, readable or not, that was not retracted."""
    return (folder / FILE).exists() and not withdrawn(folder)


def stands(root: Path, name: str) -> bool:
    """Return whether the run of this name has a valid record: not withdrawn, and not built on a withdrawn one.

    Raises:
        RecordError: there is a record that no table would read.
    """
    folder = root / name
    if not present(folder):
        return False
    why = ""
    try:
        record = _read(folder / FILE, "local")
        if OWN_NAME.search(name) and record.status in {"ok", "diverged"}:
            return not _fallen(root, record)
    except RecordError as error:
        why = f" ({error})"
    msg = f"{folder}: its record cannot be used{why}; withdraw it (repro retract {name} --why damaged) and run again"
    raise RecordError(msg)


def _fallen(root: Path, record: Record) -> str:
    """Return why a record is invalid because of a record that it was built on; empty where it is valid."""
    return _Root.read(root, record.place).fallen(record) if record.built_on[0] else ""


def append(root: Path, name: str, meta: Mapping[str, Any], counts: Counts, extra: Iterable[Path] = ()) -> Path:
    """Write a record atomically, never over another one. A retracted one of its name is moved aside.

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
    why = ""
    if present(target):
        with suppress(RecordError):
            why = _fallen(root, _read(target / FILE, "local"))
        if not why:
            msg = f"{target}: a record is never overwritten; retract it first (repro retract {name})"
            raise RecordError(msg)
    try:
        root.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=root))
        try:
            _fill(partial, meta, counts, extra)
            if why:
                withdraw(target, why)
            if withdrawn(target):
                move_aside(target)
            partial.replace(target)
            through(root)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        said = error.strerror or error
        msg = f"{target}: the record cannot be written ({said}); free space or choose another --runs folder"
        raise RecordError(msg) from error
    return target


def _fill(folder: Path, meta: Mapping[str, Any], counts: Counts, extra: Iterable[Path]) -> None:
    import shutil

    import numpy as np

    if counts:
        small = {name: _smallest(array) for name, array in counts.items()}
        np.savez_compressed(folder / COUNTS, allow_pickle=False, **small)
    for path in extra:
        shutil.copy2(path, folder / path.name)
    sums = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    text = sealed.seal({"schema": SCHEMA, **meta, "sums": sums})
    (folder / FILE).write_text(text, encoding="utf-8", newline="\n")
    folder.chmod(0o755)
    for path in (*folder.iterdir(), folder):
        through(path)


def _smallest(array: NDArray[np.int64]) -> NDArray[Any]:
    """Return counts as uint32, unchanged where they do not fit."""
    import numpy as np

    if array.size and array.min() >= 0 and array.max() < 2**32:
        return array.astype(np.uint32)
    return array
