"""The cores a process may use, not those the machine has."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
import torch
from short_runs import job, place

from repro.machine import cores
from repro.session import Session


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_cores_are_those_of_the_affinity() -> None:
    assert cores() == len(os.sched_getaffinity(0))
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{one}}}); from repro.machine import cores; print(cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


@pytest.fixture
def threads() -> Iterator[None]:
    """Give the threads of OpenCV and torch back as they were."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    yield
    cv2.setNumThreads(before[0])
    torch.set_num_threads(before[1])


@pytest.mark.usefixtures("threads")
def test_opencv_keeps_to_a_jobs_share_of_the_cores(tmp_path: Path, cache: Path) -> None:
    """By itself it takes all cores of the machine, in each of several jobs side by side."""
    task = job(1)
    for share in (1, 3):
        cv2.setNumThreads(7)
        Session(task.run, 0, replace(place(tmp_path, cache), threads=share), tmp_path / "work", None)
        assert cv2.getNumThreads() == share


@pytest.mark.parametrize(
    ("share", "device", "makers"), [(16, "cuda", 3), (2, "cuda", 2), (1, "cuda", 1), (16, "cpu", 1)]
)
def test_threads_that_make_batches_are_some_of_a_jobs_own(share: int, device: str, makers: int) -> None:
    """Three at most where a GPU trains; the one that trains on a CPU."""
    job = SimpleNamespace(place=SimpleNamespace(threads=share), fabric=SimpleNamespace(device=torch.device(device)))
    assert Session._makers.fget(job) == makers  # type: ignore[attr-defined]
