"""Make a bundle: the package, the data of the planned splits, the ImageNet weights and the jobs, in one or more parts.

Images and masks go in as the files they are: decoded, CamVid takes seven times as much, and decoding it takes seconds.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import repro
from repro.config import dataset_info, machine
from repro.config.errors import BundleError
from repro.config.experiment import Job, check_weights
from repro.config.machine import Machine
from repro.data import load
from repro.data.cache import open_store
from repro.results.records import RecordStore
from repro.runner import budget
from repro.runner.bundle import archive
from repro.runner.bundle.carried import files_of
from repro.runner.bundle.manifest import CODE, DATA, NAME, WEIGHTS, File, Manifest, Piece, Split, safe, text

COMMIT = f"{CODE}/COMMIT"
FLOATS = 4
SMALLEST_PIECE = 2**20
"""A file is cut only where more of the part than this is left, or where it is larger than a whole part."""
Sources = dict[str, Path | bytes]


@dataclass(frozen=True)
class Made:
    """The archives of a bundle, in the order in which they are given to ``bundle run``."""

    manifest: Manifest
    archives: tuple[Path, ...]


def make(jobs: Sequence[Job], place: Machine, shelf: RecordStore, target: Path, part_size: int | None = None) -> Made:
    """Write the bundle of some jobs, which stand in order of priority.

    Args:
        jobs: what shall run; those that others build on among them.
        place: data root, weights, and the cache in which the splits are decoded for their fingerprints.
        shelf: records that tell how much memory such runs took.
        target: archive to write; with several parts their numbers go before its ending.
        part_size: bytes that no part exceeds; None for one archive.

    Raises:
        BundleError: no job, no git checkout, a part size that holds nothing, or a disk that refuses.
        DataError, WorkError: data or weights that cannot be used.
    """
    if not jobs:
        raise BundleError("no run is left to carry; repro status lists the records, and --missing leaves them out")
    for job in jobs:
        check_weights(job.run, place.weights)
    sources = _code()
    splits = _splits(jobs, place, sources)
    weights = ""
    if place.weights is not None and any(job.run.from_file and job.trains for job in jobs):
        weights = f"{WEIGHTS}/{place.weights.name}"
        sources[safe(weights)] = place.weights
    files = tuple(_described(path, source) for path, source in sources.items())
    manifest = Manifest(
        commit=_commit(), files=files, parts=(), jobs=tuple(jobs), splits=splits, weights=weights,
        memory=_memory(jobs, shelf),
    )  # fmt: skip
    return write(manifest, sources, target, part_size)


def write(manifest: Manifest, sources: Mapping[str, Path | bytes], target: Path, part_size: int | None) -> Made:
    """Divide the files of a manifest over parts of a size and write them.

    Raises:
        BundleError: the size holds no part, or the disk refuses.
    """
    divided = replace(manifest, parts=_parts(manifest, part_size))
    count = len(divided.parts)
    archives = tuple(part_name(target, number, count) for number in range(1, count + 1))
    for number, path in enumerate(archives, 1):
        archive.write_tar(path, archive.members_of(divided, number, sources))
        if part_size is not None and path.stat().st_size > part_size:
            raise BundleError(f"{path}: came out larger than --part-size, {part_size:,} bytes")
    return Made(divided, archives)


def part_name(target: Path, number: int, count: int) -> Path:
    """Return ``bundle.1of2.tar`` for ``bundle.tar``."""
    return target if count == 1 else target.with_name(f"{target.stem}.{number}of{count}{target.suffix}")


def _code() -> Sources:
    """Return the tracked files of this package as they lie in the working tree, and the commit."""
    home = Path(repro.__file__).parent
    try:
        done = subprocess.run(["git", "-C", str(home), "ls-files", "-z"], capture_output=True, check=True)  # noqa: S603, S607 - fixed words, the user's own git
        names = sorted(name for name in done.stdout.decode().split("\0") if name)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BundleError(f"{home}: no git checkout; make the bundle in one, so that records name a commit") from error
    lost = [name for name in names if not (home / name).is_file()]
    if not names or lost:
        raise BundleError(f"{home / (lost or [''])[0]}: git tracks it no longer or it is deleted; commit first")
    sources: Sources = {safe(f"{CODE}/{name}"): home / name for name in names}
    return sources | {COMMIT: f"{_commit()}\n".encode()}


def _commit() -> str:
    commit = machine.git_commit()
    if not commit:
        raise BundleError("this code has no commit; make the bundle in a git checkout, so that records name it")
    return commit


def _splits(jobs: Iterable[Job], place: Machine, sources: Sources) -> tuple[Split, ...]:
    """Return the splits that the jobs use, the first job's first; add their files to ``sources``."""
    used = dict.fromkeys(
        (source.dataset, source.split)
        for job in jobs
        for source in (*(job.run.train if job.trains else ()), job.run.test)
    )
    on_disk = [name for name in used if not dataset_info.get(name[0]).generated]
    files = files_of(on_disk, place.data_root) if on_disk and place.data_root is not None else {}
    found = []
    for dataset, split in used:
        fingerprint = open_store(load(dataset, split, place.data_root), place.cache).fingerprint
        carried = {safe(f"{DATA}/{file.as_posix()}"): file for file in files.get(f"{dataset}/{split}", ())}
        sources |= {path: place.data_root / file for path, file in carried.items() if place.data_root is not None}
        found.append(Split(f"{dataset}/{split}", fingerprint, tuple(carried)))
    return tuple(found)


def _described(path: str, source: Path | bytes) -> File:
    if isinstance(source, bytes):
        return File(path, len(source), hashlib.sha256(source).hexdigest())
    try:
        return File(path, source.stat().st_size, archive.digest(source))
    except OSError as error:
        raise BundleError(f"{source}: cannot be read ({error.strerror or error})") from error


def _memory(jobs: Iterable[Job], shelf: RecordStore) -> dict[str, dict[str, int]]:
    """Return the bytes that each training takes, by kind of device and key.

    On a CPU: the most that a record of it shows, else one of its profile. On a GPU: the same where there is such a
    record, and at least four float32 a parameter: weight, gradient and the optimizer's two averages.
    """
    found: dict[str, dict[str, int]] = {}
    for kind, field in (("cpu", "peak_memory_bytes"), ("cuda", "peak_gpu_memory_bytes")):
        peaks: dict[str, int] = {}
        for record in shelf.records:
            peak = record.meta.get(field)
            if record.status == "ok" and record.identity.arithmetic.get("device_type") == kind and type(peak) is int:
                for name in (record.key, str(record.meta.get("profile"))):
                    peaks[name] = max(peak, peaks.get(name, 0))
        found[kind] = {}
        for run in (job.run for job in jobs if job.trains):
            counted = budget.of(run) if kind == "cuda" else None
            floor = FLOATS * budget.FLOAT * counted.params if counted else 0
            if need := max(floor, peaks.get(run.key) or peaks.get(run.profile, 0)):
                found[kind][run.key] = need
    return found


def _parts(manifest: Manifest, part_size: int | None) -> tuple[tuple[Piece, ...], ...]:
    """Fill parts with the files in their order; a file larger than the rest of a part begins the next one."""
    if part_size is None:
        return (tuple(Piece(file.path, 0, file.size) for file in manifest.files),)
    room = part_size - _overhead(manifest)
    if room < SMALLEST_PIECE:
        raise BundleError(
            f"--part-size of {part_size:,} bytes: its list of files alone takes {_overhead(manifest):,}; give at least "
            f"{_overhead(manifest) + SMALLEST_PIECE:,}"
        )
    parts: list[list[Piece]] = [[]]
    left = room
    for file in manifest.files:
        offset, whole = 0, archive.cost(file.path, file.size)
        if whole > left and parts[-1] and (whole <= room or left < SMALLEST_PIECE):
            parts, left = [*parts, []], room
        while True:
            size = min(file.size - offset, (left - archive.cost(file.path, 0)) // archive.BLOCK * archive.BLOCK)
            parts[-1].append(Piece(file.path, offset, size))
            left -= archive.cost(file.path, size)
            offset += size
            if offset == file.size:
                break
            parts, left = [*parts, []], room
    return tuple(map(tuple, parts))


def _overhead(manifest: Manifest) -> int:
    """Return the bytes of a part that are no files: its manifest, whatever the division, and the tar file's end."""
    most = len(text(replace(manifest, parts=()), 1)) + 40 * len(manifest.files) + SMALLEST_PIECE // 16
    return archive.cost(NAME, most) + 2 * archive.RECORD
