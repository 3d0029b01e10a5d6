"""Tests of repro.runner.bundle.priority."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from repro.config.errors import BundleError
from repro.config.experiment import Job
from repro.runner.bundle.priority import ordered
from tests.support.bundles import planned_jobs


def test_a_whole_seed_before_the_next_and_claims_first() -> None:
    """By default: base, then GCN 15, then + BR; the second seed after the last network of the first."""
    jobs = ordered(planned_jobs("1-5", "camvid_short", seeds=2))
    names = [(job.seed, job.run.slug.removeprefix("camvid_short-")) for job in jobs]
    assert names[:4] == [(0, "base"), (0, "gcn-k15"), (0, "gcn-k15-br"), (0, "stack-k7")]
    assert names[19] == (1, "base")
    assert len(jobs) == 38


def test_priority_moves_a_run_and_what_it_builds_on() -> None:
    """A run named first comes after its own stages and before every other one."""
    jobs = ordered(planned_jobs("table7"), ["gcn-k15-br-ms"])
    assert [job.name for job in jobs[:4]] == [*_chain(jobs, "shapes-gcn-k15-br-ms"), jobs[3].name]
    assert jobs[3].run.slug == "shapes-gcn-k15-br-ms"
    for i, job in enumerate(jobs):
        assert set(job.after) <= {other.name for other in jobs[:i]}


def _chain(jobs: Iterable[Job], slug: str) -> list[str]:
    by_name = {job.name: job for job in jobs}
    job = next(job for job in by_name.values() if job.run.slug == slug)
    found: list[str] = []
    while job.after:
        job = by_name[job.after[0]]
        found.insert(0, job.name)
    return found


def test_a_priority_that_is_no_run() -> None:
    """It is named, with what there is."""
    with pytest.raises(BundleError, match=r"--priority gcn-k99: no run .* choose from base, .*gcn-k15"):
        ordered(planned_jobs("table1"), ["gcn-k99"])
