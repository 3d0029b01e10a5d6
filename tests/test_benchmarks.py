"""Every benchmark runs from start to end at a tiny size; its numbers mean nothing there, and nothing is written."""

from __future__ import annotations

import importlib
import os
import runpy
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from repro.config.machine import Machine
from repro.data import load
from tests.support import ROOT

BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = sorted(path for path in BENCHMARKS.glob("*.py") if not path.name.startswith("_"))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[None]:
    """Let benchmarks import one another, read no data of this machine, and leave torch as it was."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("REPRO_CACHE", str(cache))
    for name in ("REPRO_DATA", "REPRO_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    before = set(sys.modules)
    threads, threads_cv = torch.get_num_threads(), cv2.getNumThreads()
    deterministic, warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    yield
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads_cv)
    torch.use_deterministic_algorithms(deterministic, warn_only=warns)
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def written() -> dict[str, bytes]:
    """Return the results that the project ships, by name."""
    return {path.name: path.read_bytes() for path in (BENCHMARKS / "results").iterdir()}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
@pytest.mark.usefixtures("bench")
def test_a_benchmark_runs(script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """From its arguments to its report, or to the sentence that names what it needs and is not installed."""
    monkeypatch.setattr(sys, "argv", [str(script), "--smoke"])
    before = written()
    runpy.run_path(str(script), run_name="__main__")
    said = capsys.readouterr().out
    assert "not written (--smoke): " in said or "left out: " in said
    assert written() == before


@pytest.mark.usefixtures("bench")
def test_the_page_of_results_is_what_the_benchmarks_wrote() -> None:
    """Goals with their results, and those that have none; `python benchmarks/_goals.py` renews it."""
    page = runpy.run_path(str(BENCHMARKS / "_goals.py"))["page"]()
    assert page == (BENCHMARKS / "results" / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def sitting(bench: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ARG001 - what it sets up is needed
    """Return a sitting of `benchmarks/gpu.py` on a CPU, with what it would write, and the module."""
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--smoke"])
    gpu = importlib.import_module("gpu")
    place = Machine(runs=tmp_path, device="cpu")
    made = gpu.Sitting(place, torch.device("cpu"), 10, time.monotonic() + 100, generated=True)
    return made, gpu


def test_a_failed_measurement_is_named_and_the_next_is_done(sitting: Any) -> None:
    """One that raises, one that warns, one that has no time left; each is in the results."""
    made, _ = sitting

    def bad() -> float:
        raise RuntimeError("out of memory")

    def warning() -> float:
        warnings.warn("no deterministic form", stacklevel=1)
        return 1.5

    assert made.attempt("bad", bad) is None
    assert made.attempt("warning", warning) == 1.5
    made.until = time.monotonic() - 1
    assert made.attempt("late", lambda: 1.0) is None
    assert made.failed == {"bad": "RuntimeError: out of memory", "late": "left out: no time was left"}
    assert made.said == {"warning": ["no deterministic form"]}


def test_what_a_gpu_is_asked_for_becomes_goals(sitting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The better of the two ways to step counts, and each result meets its goal by name."""
    made, gpu = sitting
    row = {"ms_eager": 9.0, "ms_graph": 6.0, "ms_one_batch": 8.9, "ms_one_batch_graph": 5.94,
           "images_per_second": 666.7, "tflops": 64.0}  # fmt: skip
    gpu._step_goals(made, row)
    kept: dict[str, Any] = {}
    monkeypatch.setattr(gpu, "write", lambda name, content, **_: kept.update(content, name=name))
    made.save()
    assert {goal["what"].rpartition(": ")[2]: round(goal["result"], 3) for goal in kept["goals"]} == {
        "a step": 6.0, "images": 666.7, "operations": 64.0, "share of a step spent waiting for data": 0.01,
    }  # fmt: skip
    assert all(goal["met"] for goal in kept["goals"])
    assert kept["name"].startswith("device_cpu")


def test_generated_pictures_are_camvids(sitting: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where CamVid is not at hand: a data root that the project's own loader takes."""
    _, gpu = sitting
    monkeypatch.setattr(gpu, "SPLITS", {"train": 3, "val": 2})
    gpu.generate(tmp_path)
    image, labels = load("camvid", "train", tmp_path).read(0)
    assert image.shape == (360, 480, 3)
    assert set(np.unique(labels)) <= {*range(11), 255}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system has no /proc")
def test_the_deadline_ends_a_sitting() -> None:
    """Whatever it is doing, with the processes that it started; exit code 0, since what was measured is written."""
    code = (
        "import sys; sys.argv = ['gpu.py', '--smoke']; import gpu, pathlib, subprocess, time, torch\n"
        "from repro.config.machine import Machine\n"
        "made = gpu.Sitting(Machine(), torch.device('cpu'), 10, 0.0, generated=True)\n"
        "made.processes.append(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)']))\n"
        "print(made.processes[0].pid, flush=True)\n"
        "with gpu.deadline(made, 0.2): time.sleep(100)"
    )
    env = {**os.environ, "PYTHONPATH": f"{BENCHMARKS}{os.pathsep}{BENCHMARKS.parent}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    pid, _, said = done.stdout.partition("\n")
    assert said.startswith("time is up")
    until = time.monotonic() + 30
    while runs(int(pid)):
        assert time.monotonic() < until
        time.sleep(0.05)


def runs(pid: int) -> bool:
    """Say whether a process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
