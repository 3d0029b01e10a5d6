"""Adopt the records that a slot brought back: all of them checked first, then all of them or none."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.config import machine
from repro.config.errors import BundleError, RecordError
from repro.config.experiment import Run, folder_name, source_names
from repro.config.identity import changes, conflicts, suffix, weights_of
from repro.config.networks import Classifier
from repro.evaluation import regions
from repro.results import metrics, records, scores
from repro.results.records import Record
from repro.results.restore import run_of
from repro.results.retraction import move_aside, withdrawn
from repro.runner.bundle import archive, unpacking
from repro.runner.bundle.manifest import NAME, Manifest
from repro.runner.bundle.results import SUMS, WEIGHTS

FILES = frozenset({"record.json", "counts.npz", "log.jsonl"})
LARGEST = 2**30
"""Bytes that the records of one archive may take unpacked."""
LARGEST_WEIGHTS = 2**33
Counts = Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Beside:
    """The record that came beside another one of its key and seed."""

    name: str
    metric: str
    mine: float
    """Per cent, of the one that came."""
    theirs: float
    """Per cent, of the one that was here."""
    differences: tuple[str, ...]
    """Of sources and arithmetic: ``there`` is the one that was here, ``here`` the one that came."""
    devices: tuple[str, str]
    """Of the one that came and the one that was here."""
    place: str
    """``reference`` or ``local``: where the other one lies."""


@dataclass
class Merged:
    """What a merge did."""

    adopted: list[Path] = field(default_factory=list)
    there: list[Path] = field(default_factory=list)
    """Equal ones, which were here already."""
    weights: list[Path] = field(default_factory=list)
    comparisons: list[Beside] = field(default_factory=list)
    unsummed: list[Path] = field(default_factory=list)
    """Archives without checksums of their files."""


def merge(archives: Sequence[Path], runs: Path, into: str) -> Merged:
    """Adopt the records of some archives, and weights that were brought, into ``runs/<into>``.

    Raises:
        BundleError: an archive, a record or weights that cannot be trusted, or a record that stands here with other
            counts. Nothing was adopted then.
    """
    place = machine.Machine(runs=runs)
    roots = {"reference": place.reference, "local": place.local}
    target = roots[into]
    try:
        target.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".merge-", dir=target))
    except OSError as error:
        raise BundleError(f"{target}: cannot be written ({error.strerror or error}); choose another --runs") from error
    done = Merged()
    moves: list[tuple[Path, Path]] = []
    try:
        weights = _unpack(archives, stage, done)
        if alone := sorted(p.name for p in stage.iterdir() if p.name[0] != "." and not (p / "record.json").exists()):
            raise BundleError(f"{alone[0]}: came without its record.json; nothing was merged")
        found = records.load({into: stage})
        if found.passed_over:
            raise BundleError(f"{found.passed_over[0].replace(str(stage), 'archive')}; nothing was merged")
        here = records.load(roots).records
        for record in found.records:
            _settle(record, checked(record), here, target, moves, done)
        _place_weights(weights, stage, moves, done)
        _adopt(moves)
    except OSError as error:
        why = error.strerror or error
        raise BundleError(f"{target}: cannot be written ({why}); nothing was merged") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    done.adopted += [to for _, to in moves if to.name != WEIGHTS]
    done.weights += [to for _, to in moves if to.name == WEIGHTS]
    return done


def _unpack(archives: Sequence[Path], stage: Path, done: Merged) -> dict[str, Path]:
    """Unpack every archive below ``stage``; return the weights file of each record whose weights came."""
    weights: dict[str, list[Path]] = {}
    for path in archives:
        head = archive.head(path)
        if head is None:
            _unpack_records(path, stage, done)
        elif head[0].record:
            weights.setdefault(head[0].identity, []).append(path)
        else:
            raise BundleError(f"{path}: a bundle to run, not what came back from it; give records*.tar.gz")
    found = {}
    for number, paths in enumerate(weights.values()):
        manifest, parts = unpacking.read(paths)
        found[manifest.record] = _join(manifest, parts, stage / f".weights-{number}")
    return found


def _unpack_records(path: Path, stage: Path, done: Merged) -> None:
    """Unpack an archive of records and compare its checksums, where it has them (a first kit's has none)."""
    sums: Mapping[str, str] | None = None
    found: dict[str, str] = {}
    with archive.opened(path) as tar:
        for info in archive.files_in(tar, path, LARGEST):
            data = archive.content(tar, info).read()
            if info.name == SUMS:
                sums = _sums(data, path)
                continue
            folder, _, name = info.name.partition("/")
            if name not in FILES or folder.startswith("."):
                raise BundleError(f"{path}: {info.name} is no file of a record; nothing was merged")
            target = stage / folder / name
            if target.exists() and target.read_bytes() != data:
                raise BundleError(f"{path}: another archive holds {info.name} with other bytes; nothing was merged")
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(data)
            found[info.name] = hashlib.sha256(data).hexdigest()
    if sums is None:
        done.unsummed.append(path)
    elif sums != found:
        name = min(set(sums.items()) ^ set(found.items()))[0]
        raise BundleError(f"{path}: {name} is not as its checksum says; transfer it again, nothing was merged")


def _sums(data: bytes, path: Path) -> dict[str, str]:
    try:
        return {str(name): str(value) for name, value in json.loads(data)["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path}: its {SUMS} cannot be read; transfer it again, nothing was merged") from error


def _join(manifest: Manifest, parts: dict[int, Path], folder: Path) -> Path:
    """Put the parts of a weights file together."""
    if lost := sorted(set(range(1, len(manifest.parts) + 1)) - parts.keys()):
        raise BundleError(
            f"weights of {manifest.record}: part {lost[0]} of {len(manifest.parts)} is missing; give all, nothing was "
            "merged"
        )
    if [file.path for file in manifest.files] != [f"{manifest.record}/{WEIGHTS}"]:
        raise BundleError(f"weights of {manifest.record}: their {NAME} names other files; nothing was merged")
    if manifest.files[0].size > LARGEST_WEIGHTS:
        raise BundleError(f"weights of {manifest.record}: larger than {LARGEST_WEIGHTS:,} bytes; nothing was merged")
    for number, path in sorted(parts.items()):
        archive.unpack_part(path, manifest, number, folder)
    if archive.changed(manifest, [manifest.files[0].path], folder):
        raise BundleError(f"weights of {manifest.record}: not as their checksum says; nothing was merged")
    return folder / manifest.files[0].path


def checked(record: Record) -> Counts:
    """Return the counts of a record that came from elsewhere.

    Raises:
        BundleError: the key is not that of its spec, the folder has another name, or counts no evaluation can have.
    """
    try:
        run = run_of(record)
    except RecordError as error:
        raise BundleError(f"{record.name}: its key {record.key} is not that of its spec; nothing was merged") from error
    if record.name != folder_name(run, record.seed):
        raise BundleError(f"{record.name}: holds the record of {folder_name(run, record.seed)}; nothing was merged")
    if record.status not in {"ok", "diverged"}:
        raise BundleError(f"{record.name}: status {record.status!r} is none that a run ends with; nothing was merged")
    if fault := _sources_fault(record, run):
        raise BundleError(f"{record.name}: {fault}; nothing was merged")
    try:
        record.log()
        counts = record.counts() if record.status == "ok" else {}
    except ValueError as error:
        why = str(error).replace(str(record.folder), record.name)
        raise BundleError(f"{why}; nothing was merged") from error
    if fault := _fault(record, counts) if record.status == "ok" else "":
        raise BundleError(f"{record.name}: {fault}; nothing was merged")
    return counts


def _sources_fault(record: Record, run: Run) -> str:
    """Return what is wrong with the data and weights that a record says it comes from, or nothing."""
    sources, meta = record.identity.sources, record.meta
    own = {f"{s.dataset}/{s.split}" for s in (run.test, *(run.train if run.trained() == run else ()))}
    wanted = source_names(run) if "identity" in meta else own  # schema 1 says nothing of earlier stages
    if lost := sorted(wanted - sources.keys()):
        return f"does not say which {lost[0]} it comes from"
    data, weights = meta.get("data"), str(meta.get("weights_file") or "").rpartition("sha256:")[2]
    said = dict(data) if isinstance(data, Mapping) else {}
    if weights:
        said[weights_of(run.model.backbone)] = weights
    other = conflicts(sources, said)
    return f"says two things of {other[0]}, in its identity and beside it" if other else ""


def _fault(record: Record, counts: Counts) -> str:
    """Return what is wrong with the counts of an evaluation, or nothing."""
    images, classes = record.meta.get("test_images"), record.meta.get("classes")
    if not isinstance(images, int) or images < 1 or not isinstance(classes, list):
        return "record.json lacks test_images or classes"
    shapes: dict[str, tuple[int, ...]] = {
        "classes": (images, len(classes), 3),
        "distance": (images, regions.REST + 1, 2),
        "size": (images, regions.SIZES, 2),
    }
    if isinstance(run_of(record).model, Classifier):
        shapes = {"top5": (images, 2)}
    if "size" not in counts:  # older records lack it
        shapes.pop("size", None)
    if other := counts.keys() ^ shapes.keys():
        return f"counts {', '.join(sorted(other))} are missing or unknown"
    for name, shape in shapes.items():
        if counts[name].shape != shape:
            return f"counts {name} have the shape {counts[name].shape}, not {shape}"
    if fault := scores.impossible(record, counts):
        return fault
    return "" if "top5" in shapes else _unequal(counts, 0 if classes[:1] == ["background"] else None)


def _unequal(counts: Counts, background: int | None) -> str:
    """Return which counts are not of the same pixels: every image is counted by class, by distance and by size."""
    right, predicted, labelled = np.moveaxis(counts["classes"].sum(axis=1), 1, 0)
    near = counts["distance"].sum(axis=1)
    if (labelled != predicted).any() or (labelled != near[:, 1]).any() or (right != near[:, 0]).any():
        return "its counts by class and by distance are not of the same pixels"
    sized = counts["size"].sum(axis=1) if "size" in counts else None
    objects = np.delete(counts["classes"], [] if background is None else [background], axis=1).sum(axis=1)
    if sized is not None and ((sized[:, 1] != objects[:, 2]).any() or (sized[:, 0] != objects[:, 0]).any()):
        return "its counts by class and by size are not of the same pixels"
    return ""


def _settle(
    record: Record, counts: Counts, here: Sequence[Record], root: Path, moves: list[tuple[Path, Path]], done: Merged
) -> None:
    """Decide where a record goes, and note how it stands beside those of its key and seed.

    The usual name is for the first one. One of other data or start weights, or of another kind of device, gets a name
    of its own beside it; what tables make of the two is ``scores.Scores``'s to say.
    """
    target = root / record.name
    standing = _standing(target, here)
    if standing is not None and conflicts(standing.identity.sources, record.identity.sources):
        target = target.with_name(f"{target.name}-{suffix(record.identity.sources)}")
        standing = _standing(target, here)
    if standing is not None and _device(standing) != _device(record):
        target = target.with_name(f"{target.name}-{_device(record)}")
        standing = _standing(target, here)
    done.comparisons += _comparisons(record, counts, [other for other in here if other.folder != target])
    if standing is None:
        moves.append((record.folder, target))
    elif _same(record, counts, standing):
        done.there.append(target)
    else:
        raise BundleError(
            f"{target}: stands here with other counts than the one that came ({_made(standing)}; {_made(record)}); "
            "retract the wrong one first, nothing was merged"
        )


def _device(record: Record) -> str:
    return str(record.identity.arithmetic.get("device_type"))


def _made(record: Record) -> str:
    return f"{record.meta.get('device')}, commit {record.meta.get('git_commit')}"


def _standing(folder: Path, here: Sequence[Record]) -> Record | None:
    """Return the record of a folder; None where there is none, or a retracted one."""
    if not records.present(folder):
        return None
    found = next((record for record in here if record.folder == folder), None)
    if found is None:
        raise BundleError(f"{folder}: the record that stands here cannot be read; retract it first, nothing was merged")
    return found


def _same(record: Record, counts: Counts, standing: Record) -> bool:
    if record.status != standing.status:
        return False
    theirs = _counts(standing)
    return theirs.keys() == counts.keys() and all(np.array_equal(theirs[name], counts[name]) for name in counts)


def _counts(record: Record) -> Counts:
    try:
        return record.counts() if record.status == "ok" else {}
    except RecordError as error:
        raise BundleError(f"{error}; nothing was merged") from error


def _comparisons(record: Record, counts: Counts, here: Sequence[Record]) -> list[Beside]:
    """Lay the score beside that of every other record of the key and seed."""
    metric = metrics.main(counts)
    found = []
    for other in here:
        if (other.key, other.seed) != (record.key, record.seed) or not counts or other.status != "ok":
            continue
        scores = (100 * metrics.score(metric.name, counts), 100 * metrics.score(metric.name, _counts(other)))
        devices = (str(record.meta.get("device")), str(other.meta.get("device")))
        found.append(
            Beside(
                record.name,
                metric.label,
                *scores,
                tuple(changes(other.identity, record.identity)),
                devices,
                other.place,
            )
        )
    return found


def _place_weights(weights: Mapping[str, Path], stage: Path, moves: list[tuple[Path, Path]], done: Merged) -> None:
    """Put weights beside the record that comes with them, or that stands here."""
    for name, path in weights.items():
        going = {source.name: to for source, to in moves}
        if name in going:
            path.replace(stage / name / WEIGHTS)  # it moves with its record
            done.weights.append(going[name] / WEIGHTS)
            continue
        there = next((to for to in done.there if to.name.startswith(name)), None)
        if there is None:
            raise BundleError(
                f"weights of {name}: their record is not among these archives; give its archive too, nothing was merged"
            )
        if not (there / WEIGHTS).exists():
            moves.append((path, there / WEIGHTS))
        elif not _equal_weights(there / WEIGHTS, path):
            raise BundleError(f"{there / WEIGHTS}: other weights stand here; move them away first, nothing was merged")


def _equal_weights(one: Path, other: Path) -> bool:
    """Compare tensors; the description in the files may stand in another order."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        mine, theirs = load_file(one), load_file(other)
    except (SafetensorError, OSError):
        return False
    return bool(mine.keys() == theirs.keys() and all(np.array_equal(mine[name], theirs[name]) for name in mine))


def _adopt(moves: Sequence[tuple[Path, Path]]) -> None:
    """Rename everything into place; take all of it back where one cannot be.

    Raises:
        OSError: one could not be renamed, for instance since a run has just written its record.
    """
    undo: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                source.chmod(0o755)
            if target.is_dir() and withdrawn(target):
                move_aside(target)
            elif target.exists():
                raise FileExistsError(17, "it was written meanwhile", str(target))
            source.replace(target)
            undo.append((target, source))
    except OSError:
        for target, source in reversed(undo):
            target.replace(source)
        raise
