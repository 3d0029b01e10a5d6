"""The cores and the memory that a process may use, not those the machine has."""

from __future__ import annotations

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

from repro.cli import plan
from repro.config import container, profiles
from repro.config.container import Cores, Memory, System
from repro.config.machine import cores
from repro.results.records import load
from repro.runner.job import Session
from tests.support import ROOT
from tests.support.short_runs import job, place

GB = 10**9


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_cores_are_those_of_the_affinity() -> None:
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{one}}}); from repro.config.machine import cores; print(cores())"
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
        Session(task.run, 0, replace(place(tmp_path, cache), cores=share), tmp_path / "work", None)
        assert cv2.getNumThreads() == share


@pytest.mark.parametrize(
    ("share", "device", "makers"), [(16, "cuda", 3), (2, "cuda", 2), (1, "cuda", 1), (16, "cpu", 1)]
)
def test_threads_that_make_batches_are_some_of_a_jobs_own(share: int, device: str, makers: int) -> None:
    """Three at most where a GPU trains; the one that trains on a CPU."""
    job = SimpleNamespace(place=SimpleNamespace(cores=share), fabric=SimpleNamespace(device=torch.device(device)))
    assert Session._makers.fget(job) == makers  # type: ignore[attr-defined]


def _system(folder: Path, files: dict[str, str], own: str) -> System:
    """Return a system with given files of control groups, and the line that names this process's group."""
    files = {f"cgroup/{name}": text for name, text in files.items()} | {"proc/self/cgroup": own}
    files.setdefault("proc/meminfo", "MemTotal: 64000000 kB\nMemAvailable: 32000000 kB\n")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return System(folder / "cgroup", folder / "proc")


V1 = "11:memory:{0}\n4:cpu,cpuacct:{0}\n1:name=systemd:/x\n"


@pytest.mark.parametrize(("files", "own", "quota"), [
    ({"cpu.max": "200000 100000\n"}, "0::/\n", 2.0),  # a container of version 2
    ({"cpu.max": "max 100000\n"}, "0::/\n", float("inf")),
    ({"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "max 100000\n"}, "0::/a/b\n", 0.5),  # the group above binds too
    ({"a/cpu.max": "800000 100000\n", "a/b/cpu.max": "150000 100000\n"}, "0::/a/b\n", 1.5),
    ({"other/cpu.max": "50000 100000\n"}, "0::/a/b\n", float("inf")),  # somebody else's
    ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, V1.format("/docker/abc"), 4.0),
    ({"cpu,cpuacct/d/cpu.cfs_quota_us": "50000", "cpu,cpuacct/d/cpu.cfs_period_us": "100000"}, V1.format("/d"), 0.5),
    ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, V1.format("/"), float("inf")),
    ({"cpu.max": "0 0\n"}, "0::/\n", float("inf")),
    ({"cpu.max": "what is this"}, "nothing\n:::\n0::\n", float("inf")),
    ({}, "", float("inf")),
])  # fmt: skip
def test_a_quota_is_read_from_both_versions_of_control_groups(
    tmp_path: Path, files: dict[str, str], own: str, quota: float
) -> None:
    """The lowest of this process's group and those above it; unreadable text is no limit."""
    assert container.quota(_system(tmp_path, files, own)) == quota


@pytest.mark.parametrize(("quota", "count", "about"), [
    (50_000, 1, "1 of 64 cores: container quota"),
    (250_000, 2, "2 of 64 cores: container quota"),
    (6_400_000, 64, ""),
    (9_000_000, 64, ""),
])  # fmt: skip
def test_cores_are_whole_ones_of_a_quota_and_one_at_least(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: int, count: int, about: str
) -> None:
    """Half a core is one process; a quota above the machine's cores does not bind."""
    monkeypatch.setattr(container.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(container.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    system = _system(tmp_path, {"cpu.max": f"{quota} 100000"}, "0::/\n")
    assert cores(system) == count
    assert container.cores(system).about == about
    monkeypatch.setattr(container.os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert container.cores(system) == (
        Cores(count, 64, "container quota") if quota < 200_000 else Cores(2, 64, "affinity")
    )


@pytest.mark.parametrize(("files", "own", "found"), [
    ({"memory.max": "8000000000", "memory.current": "3000000000", "memory.stat": "anon 1\ninactive_file 1000000000\n"},
     "0::/\n", Memory(6 * GB, "container memory")),
    ({"memory/x/memory.limit_in_bytes": "2000000000", "memory/x/memory.usage_in_bytes": "1500000000",
      "memory/x/memory.stat": "total_inactive_file 500000000\n"}, V1.format("/x"), Memory(GB, "container memory")),
    ({"memory/memory.limit_in_bytes": "9223372036854771712"}, V1.format("/x"), Memory(32_768 * 10**6, "free memory")),
    ({"memory.max": "max"}, "0::/\n", Memory(32_768 * 10**6, "free memory")),
    ({"memory.max": "1000", "memory.current": "5000"}, "0::/\n", Memory(0, "container memory")),
])  # fmt: skip
def test_memory_is_what_the_group_and_the_machine_leave(
    tmp_path: Path, files: dict[str, str], own: str, found: Memory
) -> None:
    """Pages of files count as left."""
    assert container.memory(_system(tmp_path, files, own)) == found


def test_memory_is_not_known_where_nothing_tells(tmp_path: Path) -> None:
    assert container.memory(System(tmp_path / "none", tmp_path / "none")) is None


def _processes(monkeypatch: pytest.MonkeyPatch, profile: str, jobs: int, memory: int, **more: int) -> tuple[int, str]:
    monkeypatch.setattr(plan, "cores", lambda: 8)
    monkeypatch.setattr(container, "cores", lambda: Cores(8, 64, "container quota"))
    monkeypatch.setattr(container, "memory", lambda: Memory(memory, "container memory"))
    found = plan.processes(profiles.get(profile), jobs, **more)
    return found.count, found.why


def test_a_pod_starts_as_many_workers_as_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cores, then memory bind, each said; fewer runs than that need no word; a GPU each where there are some."""
    quota = "8 of 64 cores: container quota"
    assert _processes(monkeypatch, "shapes", 30, 64 * GB) == (8, quota)
    assert _processes(monkeypatch, "shapes", 5, 64 * GB) == (5, "")
    assert _processes(monkeypatch, "shapes", 30, 64 * GB, threads=3) == (2, quota)
    count, why = _processes(monkeypatch, "shapes", 30, 4 * GB)
    assert (count, why) == (3, "container memory 4.0 GB, a process takes up to 1.3")
    assert _processes(monkeypatch, "shapes", 30, 0)[0] == 1
    assert _processes(monkeypatch, "shapes", 30, 0, gpus=4) == (4, "")
    assert _processes(monkeypatch, "camvid_half", 30, 16 * GB)[0] == 2
    assert _processes(monkeypatch, "paper", 30, 999 * GB)[0] == 1


def test_a_profiles_memory_covers_its_records() -> None:
    """The number of processes rests on the largest peak of the shipped records."""
    for record in load({"reference": ROOT / "runs" / "reference"}).records:
        assert record.meta["peak_memory_bytes"] <= profiles.get(str(record.meta["profile"])).memory, record.name
