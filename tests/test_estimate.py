"""Times by kind of device: a GPU's records promise a laptop nothing, and the other way round."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from repro.cli import plan
from repro.cli.options import Request
from repro.config.profiles import get
from repro.paper.tables import all_tables
from repro.report.missing import remaining
from repro.results.records import Record, RecordStore
from repro.runner.budget import Estimates
from repro.runner.plan import make_plan

JOBS = make_plan([all_tables()[1]], get("shapes"), (0,), RecordStore(())).jobs


def _record(index: int, place: str, seconds: float, device: str = "AMD EPYC", **more: Any) -> Record:
    run = JOBS[index].run
    meta = {"key": run.key, "seed": 0, "status": "ok", "seconds_total": seconds, "device": device, "steps": run.steps}
    return Record(Path(f"{index}-{place}-{device}"), meta | {"slug": run.slug} | more, place)


H100 = "NVIDIA H100 80GB HBM3"
SHELF = RecordStore((
    _record(0, "reference", 90.0), _record(1, "reference", 60.0),
    _record(0, "reference", 5.0, H100), _record(1, "reference", 4.0, H100), _record(2, "reference", 3.0, H100),
))  # fmt: skip


def test_times_are_kept_by_kind_of_device() -> None:
    """A key that both have run, one that only the GPU has, one that neither has."""
    cpu, cuda = (Estimates.read(SHELF, kind) for kind in ("cpu", "cuda"))
    assert [cpu.seconds(job.run) for job in JOBS[:4]] == [90.0, 60.0, None, None]
    assert [cuda.seconds(job.run) for job in JOBS[:4]] == [5.0, 4.0, 3.0, None]
    assert cpu.source == "times of the reference records' machine"
    assert cuda.source == f"times of the reference records' {H100}"


def test_this_machines_pace_is_that_of_its_kind() -> None:
    """A local CPU run scales the CPU's reference times alone."""
    shelf = RecordStore((*SHELF.records, _record(0, "local", 180.0)))
    cpu, cuda = (Estimates.read(shelf, kind) for kind in ("cpu", "cuda"))
    assert (cpu.scale, cuda.scale) == (2.0, 1.0)
    assert (cpu.seconds(JOBS[1].run), cuda.seconds(JOBS[1].run)) == (120.0, 4.0)


def test_the_clock_counts_on_a_gpu_whatever_its_process_computes() -> None:
    """A process that feeds a GPU from one thread has few seconds of its own."""
    more = {"threads": 1, "precision": "32-true", "cpu_seconds": 1.0}
    shelf = RecordStore((_record(0, "local", 50.0, H100, **more), _record(1, "local", 50.0, **more)))
    assert Estimates.read(shelf, "cuda").seconds(JOBS[0].run) == 50.0
    assert Estimates.read(shelf, "cpu").seconds(JOBS[1].run) == 1.0


def _shown(tmp_path: Path, device: str, *, as_json: bool = False) -> str:
    text = io.StringIO()
    request = Request(("table1",), "shapes", 1, None, "", tmp_path)
    plan.show_plan(Console(file=text, width=200), request, as_json=as_json, device=device)
    return text.getvalue()


def test_a_plan_promises_a_laptop_no_gpus_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that only a GPU has run are of unknown length here, and it is said what took them how long."""
    monkeypatch.setattr(Request, "shelf", SHELF)
    monkeypatch.setattr(plan, "gpus", tuple)
    said = _shown(tmp_path, "auto")
    assert "expected: 2:30 of one process" in said
    assert "and 6 runs of unknown length" in said
    assert f"elsewhere: 0:03 for 1 run of unknown length here (times of the reference records' {H100})" in said
    tree = json.loads(_shown(tmp_path, "cpu", as_json=True))
    assert [job["expected_seconds"] for job in tree["jobs"][:3]] == [90.0, 60.0, None]
    assert [job["expected_seconds_elsewhere"] for job in tree["jobs"][:3]] == [5.0, 4.0, 3.0]


def test_a_machine_with_a_gpu_expects_a_gpus_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Request, "shelf", SHELF)
    monkeypatch.setattr(plan, "gpus", lambda: ("0",))
    assert "expected: 0:12 of one process" in _shown(tmp_path, "auto")
    assert "expected: 2:30 of one process" in _shown(tmp_path, "cpu")


def test_a_report_sums_the_times_of_one_kind() -> None:
    """The kind that leaves the fewest runs unknown, named; a sum of both would mean nothing."""
    table = [all_tables()[1]]
    found = remaining(table, get("shapes"), RecordStore(SHELF.records[:2]), ("local",), seeds=1)
    assert (found.whole.seconds, found.source) == (150.0, "times of the reference records' machine")
    both = remaining(table, get("shapes"), SHELF, ("local",), seeds=1)
    assert (both.whole.seconds, both.whole.unknown) == (12.0, 5)
    assert both.source == f"times of the reference records' {H100}"
