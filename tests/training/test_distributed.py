"""One training over several processes (gloo, CPU): the same losses, one record, one voice."""

from __future__ import annotations

import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.accelerators import CUDAAccelerator
from lightning_fabric.plugins.environments import SLURMEnvironment
from torch.nn.parallel import DistributedDataParallel

from repro.config.errors import SpecError
from repro.config.machine import Machine
from repro.runner.launchers import torchrun
from repro.training import distributed, process_group
from repro.training.process_group import Group
from tests.support import ROOT
from tests.support.process_environments import srun_env, srun_with_ntasks, torchrun_env

TESTS = ROOT / "tests"


def _port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def _all(words: list[Any], size: int, variables: Any, cwd: Path, **more: str) -> list[tuple[int, str]]:
    """Run a command as every process of a group; return exit code and output of each."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}
    port = _port()
    running = [
        subprocess.Popen(
            [sys.executable, *map(str, words)], cwd=cwd, env=env | (variables(rank, size, port) if size > 1 else {}),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(size)
    ]  # fmt: skip
    said = [process.communicate(timeout=600)[0] for process in running]
    return [(process.returncode, text) for process, text in zip(running, said, strict=True)]


@pytest.mark.parametrize(("norm", "loss", "variables"), [
    ("batch", "mean", torchrun_env), ("frozen", "mean", srun_env), ("batch", "sum", srun_env),
])  # fmt: skip
def test_two_processes_have_the_losses_of_one(tmp_path: Path, norm: str, loss: str, variables: Any) -> None:
    """Same global batch, void unevenly spread, statistics over the global batch: 50 losses in float64, to 1e-9."""
    for size in (1, 2):
        ended = _all([TESTS / "support" / "share.py", tmp_path / str(size), 50, norm, loss], size, variables, tmp_path)
        assert [code for code, _ in ended] == [0] * size, ended
    one, two = (json.loads((tmp_path / str(size) / "losses.json").read_text()) for size in (1, 2))
    assert len(one["losses"]) == 50
    assert one["losses"][-1] < 0.8 * one["losses"][0]  # something was learned: wrong gradients would show
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-9)
    assert set(two["state"]) == set(one["state"])
    running = [name for name in one["state"] if name.endswith(("running_mean", "running_var"))]
    assert {n: two["state"][n] for n in running} == pytest.approx({n: one["state"][n] for n in running}, rel=1e-6)


def test_the_command_on_two_processes_makes_one_record_and_speaks_once(tmp_path: Path, cache: Path) -> None:
    """The first process writes and prints; the record says how many there were."""
    words = ["-m", "repro", "run", "table2", "--steps", "3", "--only", "gcn-k3"]
    first, second = _all(words, 2, torchrun_env, tmp_path, REPRO_CACHE=str(cache))
    assert (first[0], second[0]) == (0, 0), first[1] + second[1]
    assert "1 of 1 run finished" in first[1]
    assert second[1] == ""
    found = list(tmp_path.glob("runs/local/*/record.json"))
    assert len(found) == 1
    meta = json.loads(found[0].read_text(encoding="utf-8"))
    assert (meta["status"], meta["world_size"]) == ("ok", 2)
    assert {path.name for path in found[0].parent.iterdir()} >= {"weights.safetensors", "counts.npz", "log.jsonl"}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_slurms_warning_stops_all_processes_with_one_checkpoint(tmp_path: Path, cache: Path) -> None:
    """SIGUSR1 to every process, as Slurm sends it: saved, each ends by the signal's number, without a trace."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "REPRO_CACHE": str(cache)}
    words = [sys.executable, "-m", "repro", "run", "table2", "--steps", "90000", "--only", "gcn-k3"]
    port = _port()
    both = [
        subprocess.Popen(words, cwd=tmp_path, env=env | srun_env(rank, 2, port), stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True)
        for rank in range(2)
    ]  # fmt: skip
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob("runs/local/.work/*/log.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in both:
        process.send_signal(signal.SIGUSR1)
    said = [process.communicate(timeout=200)[0] for process in both]
    assert [process.returncode for process in both] == [128 + signal.SIGUSR1] * 2, said
    assert "Traceback" not in "".join(said)
    assert len(list(tmp_path.glob("runs/local/.work/*/checkpoint-*.pt"))) == 1


def test_a_batch_that_does_not_divide_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    """One sentence, by one process, no folder made."""
    words = ["-m", "repro", "run", "table2", "--steps", "3", "--only", "gcn-k3"]
    ended = _all(words, 3, torchrun_env, tmp_path)
    assert [code for code, _ in ended] == [2, 2, 2]
    assert "does not divide over 3 processes" in ended[0][1]
    assert len(ended[0][1].splitlines()) == 1
    assert [text for _, text in ended[1:]] == ["", ""]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("told", "bound", "threads"), [("", 8, 4), ("6", 8, 6), ("6", 1, 1)])
def test_a_task_shares_the_cores_and_keeps_the_threads_of_its_run(
    monkeypatch: pytest.MonkeyPatch, told: str, bound: int, threads: int
) -> None:
    """Its share of the machine, else what Slurm gives it, at most the cores that it is bound to."""
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", told or "0")
    monkeypatch.setattr(torchrun, "cores", lambda: bound)
    share = torchrun.Together(Group(0, 2, 2), Machine(threads=3)).place
    assert (share.cores, share.threads) == (threads, 3)


def _salloc(rank: int, size: int, port: str) -> dict[str, str]:
    """Return the variables of `srun --ntasks` in an interactive allocation (`salloc --ntasks-per-node=8`)."""
    return srun_env(rank, size, port) | {"SLURM_JOB_NAME": "interactive", "SLURM_NTASKS_PER_NODE": "8"}


@pytest.mark.parametrize("variables", [_salloc, srun_with_ntasks])
def test_every_way_of_srun_joins_the_processes_that_it_started(monkeypatch: pytest.MonkeyPatch, variables: Any) -> None:
    """Neither are processes started beside Slurm's own, nor is there a trace."""
    launched: list[Any] = []

    class Unlaunched(Fabric):
        def launch(self) -> None:
            launched.append(self._strategy)

    monkeypatch.setattr(distributed, "_fabric_class", lambda: Unlaunched)
    for name, text in variables(1, 2, "1").items():
        monkeypatch.setenv(name, text)
    distributed.open_fabric(Machine(device="cpu", precision="32"))
    (strategy,) = launched
    assert isinstance(strategy.cluster_environment, SLURMEnvironment)
    assert strategy.cluster_environment.creates_processes_externally
    assert (strategy.num_nodes, strategy.num_processes) == (1, 2)


def test_tasks_with_a_gpu_each_use_the_one_that_they_see(monkeypatch: pytest.MonkeyPatch) -> None:
    """--gpus-per-task=1: task 5 of 8 sees one device, which is cuda:0; without that binding it is a sentence."""
    launched: list[Any] = []

    class Unlaunched(Fabric):
        def launch(self) -> None:
            launched.append(self._strategy)

    monkeypatch.setattr(distributed, "_fabric_class", lambda: Unlaunched)
    monkeypatch.setattr(distributed.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(distributed.torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(CUDAAccelerator, "is_available", lambda: True)
    monkeypatch.setattr(CUDAAccelerator, "parse_devices", lambda devices: list(range(devices)))
    for name, text in srun_env(5, 8, "1").items():
        monkeypatch.setenv(name, text)
    with pytest.raises(SpecError, match="8 processes were started here and torch sees 1 CUDA devices"):
        distributed.open_fabric(Machine(device="cuda", precision="32"))
    monkeypatch.setenv("SLURM_GPUS_PER_TASK", "1")
    distributed.open_fabric(Machine(device="cuda", precision="32"))
    (strategy,) = launched
    assert isinstance(strategy.cluster_environment, SLURMEnvironment)
    assert (strategy.num_nodes, strategy.num_processes, strategy.local_rank) == (1, 8, 5)
    assert strategy.root_device == torch.device("cuda", 0)


def test_processes_exchange_gradients_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No buffers before each step, one graph for all steps, gradients in the buckets: torch's DDP is told so."""
    for name, text in torchrun_env(0, 2, "1").items():
        monkeypatch.setenv(name, text)
    launched: list[Any] = []

    class Unlaunched(Fabric):
        def launch(self) -> None:
            launched.append(self._strategy)

    monkeypatch.setattr(distributed, "_fabric_class", lambda: Unlaunched)
    distributed.open_fabric(Machine(device="cpu", precision="32"))
    told = launched[0]._ddp_kwargs
    known = inspect.signature(DistributedDataParallel).parameters
    buffers = next(name for name in ("forward_sync_buffers", "broadcast_buffers") if name in known)
    assert told == {buffers: False, "static_graph": True, "gradient_as_bucket_view": True}
    assert told.keys() <= known.keys()


@pytest.mark.parametrize(("variables", "said"), [
    ({"WORLD_SIZE": "abc", "RANK": "0"}, "WORLD_SIZE is abc, not a number"),
    ({"WORLD_SIZE": "0", "RANK": "0"}, "WORLD_SIZE is 0, not a number from 1"),
    ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK is 2, not a number from 0 to 1"),
    ({"WORLD_SIZE": "2", "RANK": "-1"}, "RANK is -1"),
    ({"WORLD_SIZE": "2", "RANK": ""}, "RANK is not set"),
    ({"WORLD_SIZE": "2", "RANK": "0", "LOCAL_WORLD_SIZE": "4"}, "LOCAL_WORLD_SIZE is 4"),
    ({"WORLD_SIZE": "\u0662", "RANK": "0"}, "WORLD_SIZE is"),
    ({"SLURM_STEP_NUM_TASKS": "x"}, "SLURM_STEP_NUM_TASKS is x"),
    *(({name: word for name, word in srun_env(0, 2, "1").items() if name != lacking}, f"{lacking} is not set")
      for lacking in ("SLURM_NODEID", "SLURM_LOCALID", "SLURM_PROCID")),
])  # fmt: skip
def test_a_group_that_is_half_described_is_one_sentence(variables: dict[str, str], said: str) -> None:
    """The variable, its value and the remedy."""
    with pytest.raises(SpecError, match=f"{said}.*unset"):
        process_group.read(variables)


def test_the_command_says_it_too(tmp_path: Path) -> None:
    """Exit code 2 and one line."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "WORLD_SIZE": "abc", "RANK": "0"}
    words = [sys.executable, "-m", "repro", "run", "table2", "--steps", "3"]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
@pytest.mark.parametrize("lost", [0, 1])
def test_a_partner_that_is_killed_is_one_sentence(tmp_path: Path, cache: Path, lost: int) -> None:
    """Either process of two: the other ends with the suite's sentence, not gloo's; the checkpoint is kept."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "REPRO_CACHE": str(cache)}
    words = [sys.executable, "-m", "repro", "run", "table2", "--steps", "90000", "--only", "gcn-k3"]
    port = _port()
    both = [
        subprocess.Popen([*words, "--checkpoint-seconds", "0"], cwd=tmp_path, env=env | torchrun_env(rank, 2, port),
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for rank in range(2)
    ]  # fmt: skip
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob("runs/local/.work/*/checkpoint-*.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    both[lost].kill()
    said = both[1 - lost].communicate(timeout=200)[0]
    both[lost].communicate(timeout=10)
    assert both[1 - lost].returncode == 1, said
    assert "another process of the group ended during shapes-" in said
    assert "gloo" not in said.lower()
    assert "Traceback" not in said
    assert list(tmp_path.glob("runs/local/.work/*/checkpoint-*.pt"))
    assert not list(tmp_path.glob("runs/local/.work/*.error.txt"))
