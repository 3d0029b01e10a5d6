"""Tests of repro.runner.bundle.results."""

from __future__ import annotations

from pathlib import Path

from repro.config.machine import Machine
from repro.runner.bundle.results import Results
from tests.support import simulate
from tests.support.bundles import make_bundle, names_in, planned_jobs


def test_records_fill_several_archives(tmp_path: Path, camvid: Machine) -> None:
    """None is larger than was asked for, and each holds whole records with their checksums."""
    made = make_bundle(camvid, tmp_path / "b.tar")
    (tmp_path / "out").mkdir()
    results = Results(tmp_path / "out", made.manifest, 12_000)
    jobs = planned_jobs("table1", seeds=3)
    for job in jobs:
        results.add(simulate.write(tmp_path / "local", job.run, job.seed))
        results.add(tmp_path / "local" / job.name)
    found = sorted((tmp_path / "out").glob("records*.tar.gz"))
    assert len(found) > 2
    assert all(path.stat().st_size <= 12_000 for path in found)
    held = [name.split("/")[0] for path in found for name in names_in(path) if name.endswith("record.json")]
    assert sorted(held) == sorted(job.name for job in jobs)
