"""`repro plan`: what will run, what it shares, how long it takes."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from repro.cli import plan
from repro.cli.options import Request
from repro.config.profiles import get
from repro.paper.tables import all_tables
from repro.results.records import Record, RecordStore
from repro.runner.budget import Estimates
from repro.runner.plan import make_plan
from tests.support import ROOT


def _request(tables: str, profile: str, folder: Path) -> Request:
    return Request((tables,), profile, 1, None, "", folder)


def _shown(request: Request, *, as_json: bool = False) -> str:
    text = io.StringIO()
    plan.show_plan(Console(file=text, width=200), request, as_json=as_json)
    return text.getvalue()


def test_stages_wait_for_one_another() -> None:
    """Two processes halve the time of what stands side by side, and no chain ends before its stages have run."""
    jobs = make_plan([all_tables()[7]], get("shapes"), (0,), RecordStore(())).jobs
    last = next(job for job in jobs if job.name.startswith("shapes-gcn-k15-br-ms-crf"))
    seconds = {job.run.key: (1000.0 if job == last else 10.0) for job in jobs}
    found = Estimates(seconds, {}, 1.0, "").whole(jobs, 2)
    assert found.total == 1000 + 10 * (len(jobs) - 1)
    assert found.wall == 1000 + 3 * 10  # three stages before it
    even = Estimates(dict.fromkeys(seconds, 10.0), {}, 1.0, "").whole(jobs, 2)
    assert even.wall == 10 * len(jobs) / 2
    assert Estimates({}, {}, 1.0, "").whole(jobs).unknown == len(jobs)


def test_the_time_is_said_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one process and of those that would run; unknown where nothing like it was ever run."""
    monkeypatch.setattr(plan, "cores", lambda: 2)
    run = make_plan([all_tables()[1]], get("shapes"), (0,), RecordStore(())).jobs[0].run
    assert "expected: unknown, no run like these 8 has a record yet" in _shown(_request("table1", "shapes", tmp_path))
    meta = {"key": run.key, "seed": 0, "status": "ok", "seconds_total": 90.0}
    shelf = RecordStore((Record(Path("x"), meta, "reference"),))
    monkeypatch.setattr(Request, "shelf", shelf)
    said = _shown(_request("table1", "shapes", tmp_path))
    assert "expected: 1:30 of one process, 1:30 in the 2 that repro run starts here, and 7 runs of unknown" in said
    tree = json.loads(_shown(_request("table1", "shapes", tmp_path), as_json=True))
    assert tree["expected"] == {
        "total": 90.0, "processes": 2, "wall": 90.0, "unknown": 7, "source": "times of the reference records' machine",
        "bound": "",
    }  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_run_is_never_cut(width: int, tmp_path: Path) -> None:
    """Whatever the width, names stand whole, for other commands take them; so does what each run starts from."""
    text = io.StringIO()
    request = _request("9", "shapes", tmp_path)
    plan.show_plan(Console(file=text, width=width), request, as_json=False)
    words = text.getvalue().split()
    for job in request.plan(request.shelf).jobs:
        assert job.name in words
        assert all(f"{name.split('-')[-2]}-s0" in words for name in job.after)
    assert "…" not in text.getvalue()


def test_the_readme_says_what_a_plan_says(tmp_path: Path) -> None:
    """The numbers beside ``repro plan 1-5`` are those that it prints."""
    said = _shown(_request("1-5", "shapes", tmp_path))
    told = re.search(r"Tables 1-5: (\d+ score cells, \d+ trainings)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert told
    assert told[1] in said


def test_all_leaves_out_own_tables_without_data(tmp_path: Path) -> None:
    """The suite's control set is generated: profile paper lacks it, and says so only where it is asked for."""
    rest = ["costs", "convergence", "fields"]
    assert [table.own for table in _request("all", "shapes", tmp_path).selected if table.own] == ["control", *rest]
    assert [table.own for table in _request("all", "paper", tmp_path).selected if table.own] == rest
    assert [table.own for table in _request("control", "paper", tmp_path).selected] == ["control"]


def test_an_evaluation_trains_no_step(tmp_path: Path) -> None:
    """Multi-scale and CRF scores are of a network that another row trains."""
    lines = _shown(_request("7", "paper", tmp_path)).split("operations of the runs")[0].splitlines()
    steps = {line.split()[0]: line.split()[2] for line in lines if line.startswith("paper-")}
    assert {name for name, count in steps.items() if count == "none"} == {name for name in steps if "-ms-" in name}
    assert len(steps) == 11


def test_every_run_of_the_paper_is_counted(tmp_path: Path) -> None:
    """Data, steps, parameters, multiply-adds of each; hours where a speed is known."""
    text = io.StringIO()
    plan.show_plan(Console(file=text), _request("all", "paper", tmp_path), as_json=True, tflops=100.0)
    tree = json.loads(text.getvalue())
    assert tree["without_data"] == []
    assert tree["stored_bytes"] == sum(4 * job["params"] for job in tree["jobs"] if job["trains"])
    for job in tree["jobs"]:
        assert job["data"]
        assert job["steps"] > 0
        assert job["params"] > 20e6
        assert job["macs_per_image"] > 3e9
        arithmetic, launches = job["flops"] / 1e14 / 3600, job["launches"] * 10e-6 / 3600
        assert max(arithmetic, launches) <= job["device_hours"] * (1 + 1e-9)
        assert job["device_hours"] <= arithmetic + launches
    text = io.StringIO()
    request = _request("all", "paper", tmp_path)
    plan.show_plan(Console(file=text), request, as_json=True, tflops=100.0, launch_us=0.0)
    for job in json.loads(text.getvalue())["jobs"]:
        assert job["device_hours"] == pytest.approx(job["flops"] / 1e14 / 3600)
