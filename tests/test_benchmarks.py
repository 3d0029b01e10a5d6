"""Every benchmark runs from start to end at a tiny size; its numbers mean nothing there, and nothing is written."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import torch

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
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
