"""Bundles of CamVid, archives of one or changed members, records whose counts agree."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from repro.cli.options import Request
from repro.config import profiles
from repro.config.experiment import Job
from repro.config.machine import Machine
from repro.results.records import RecordStore
from repro.runner.bundle import archive, make
from repro.runner.bundle.make import Made
from repro.runner.bundle.priority import ordered
from repro.runner.bundle.results import SUMS, Results
from tests.support import simulate


def planned_jobs(table: str, profile: str = "shapes", seeds: int = 1, steps: int = 3) -> tuple[Job, ...]:
    return Request((table,), profile, seeds, steps, "", Path("nowhere")).plan(RecordStore(())).jobs


def make_bundle(place: Machine, target: Path, part_size: int | None = None) -> Made:
    jobs = ordered(
        job for job in planned_jobs("1-5", "camvid_short", seeds=2) if "gcn-k3" in job.name or "base" in job.name
    )
    return make.make(jobs, place, RecordStore(()), target, part_size)


def names_in(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return tar.getnames()


def edited(path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Rewrite an archive with other contents; None leaves a member out."""
    with tarfile.open(path) as tar:
        members = [(info.name, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]
    found = [(name, data) for name, old in members if (data := change(name, old)) is not None]
    archive.write_tar(
        path, ((name, len(data), io.BytesIO(data)) for name, data in found), compressed=path.suffix == ".gz"
    )
    return path


def tar_of_one(path: Path, info: tarfile.TarInfo, data: bytes = b"") -> Path:
    with tarfile.open(path, "w") as tar:
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def console_to_text() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=300, highlight=False), text


def consistent_counts(seed: int = 0, images: int = 6, classes: int = 5, right: int = 0) -> dict[str, NDArray[np.int64]]:
    """Return counts of one evaluation whose sums agree; ``right`` more pixels of each image are right."""
    rng = np.random.default_rng(seed)
    label = rng.integers(50, 100, (images, classes))
    both = label // 2
    both[:, 0] += right
    distance, size = np.zeros((images, 42, 2), np.int64), np.zeros((images, 21, 2), np.int64)
    distance[:, 3] = size[:, 4] = np.stack([both.sum(axis=1), label.sum(axis=1)], axis=1)
    return {"classes": np.stack([both, label, label], axis=2), "distance": distance, "size": size}


def write_consistent_record(root: Path, seed: int = 0, right: int = 0, **changes: Any) -> Path:
    """Write a record whose counts agree with one another."""
    run = profiles.get("shapes").resolve(simulate.TABLE.rows[0].cells[0].training)  # type: ignore[union-attr]
    assert run is not None
    data = {"shapes/train": "1" * 64, "shapes/test": "2" * 64}
    meta = {
        "counts": consistent_counts(seed, right=right),
        "classes": [*"abcde"],
        "test_images": 6,
        "data": data,
        **changes,
    }
    return simulate.write(root, run, seed, **meta)


def packed_results(path: Path, *folders: Path, sums: bool = True) -> Path:
    """Archive records as a slot does, or as the first kit did, without checksums."""
    (path.parent / "made").mkdir(exist_ok=True)
    from repro.runner.bundle.manifest import Manifest

    results = Results(path.parent / "made", Manifest("0" * 12, (), ()))
    for folder in folders:
        results.add(folder)
    (path.parent / "made/records.tar.gz").replace(path)
    return path if sums else edited(path, lambda name, data: None if name == SUMS else data)
