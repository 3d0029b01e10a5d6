"""Short real runs for the tests of launching: a job, the folders it needs, and its undisturbed weights."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from repro.config import profiles
from repro.config.experiment import Job, Training
from repro.config.machine import Machine
from repro.config.networks import GCN, Model
from repro.runner import worker

# A server without threads forks the children: a fork of this process, which has some, could hang.
CHILDREN: Any = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)
CHILDREN.set_forkserver_preload(["pytest", "repro.runner.worker", "repro.config.profiles"])
TIMES = {
    "seconds", "seconds_total", "cpu_seconds", "images_per_second", "peak_memory_bytes", "git_commit",
    "sums", "checksum",
}  # fmt: skip
"""What a record says of the clock and the machine, not of the experiment."""


def job(steps: int, k: int = 3, seed: int = 0) -> Job:
    """Return a run of the laptop profile, cut to ``steps``."""
    run = profiles.get("shapes", steps=steps).resolve(Training(Model(GCN(k))))
    assert run is not None
    return Job(run, seed)


def place(folder: Path, cache: Path, seconds: float = 0.0) -> Machine:
    """Return the folders of a run that keeps a checkpoint every ``seconds``; one thread, float32, as `repro run`."""
    return Machine(runs=folder, cache=cache, device="cpu", precision="32", checkpoint_seconds=seconds)


def execute(task: Job, where: Machine, emit: Callable[[Any], None] = lambda _: None) -> worker.Done:
    """Do a job in this process."""
    return worker.execute(task.run, task.seed, task.name, where, emit)


def record(where: Machine, task: Job) -> Path:
    """Return the folder of a job's record."""
    return where.local / task.name


def differences(one: Path, other: Path) -> list[str]:
    """Return what differs between two records: names of files, and of fields of their descriptions and logs."""
    metas = [json.loads((folder / "record.json").read_text(encoding="utf-8")) for folder in (one, other)]
    fields = sorted((set(metas[0]) | set(metas[1])) - TIMES)
    files = ("weights.safetensors", "counts.npz")
    curves = [
        [{name: value for name, value in json.loads(line).items() if name not in TIMES} for line in lines]
        for lines in ((folder / "log.jsonl").read_text(encoding="utf-8").splitlines() for folder in (one, other))
    ]
    return (
        [name for name in fields if metas[0].get(name) != metas[1].get(name)]
        + [name for name in files if (one / name).read_bytes() != (other / name).read_bytes()]
        + ["log.jsonl"] * (curves[0] != curves[1])
    )


def child(target: Callable[..., object], *args: object) -> BaseProcess:
    """Call a function of a module in a child that has torch imported; return the child at once."""
    process: BaseProcess = CHILDREN.Process(target=target, args=args)
    process.start()
    return process


def in_child(task: Job, where: Machine) -> BaseProcess:
    """Do a job in a child; return it at once."""
    return child(execute, task, where)


def killed_after(process: BaseProcess, seconds: float) -> bool:
    """Kill a child with -9 after a time; say whether it had ended by itself."""
    process.join(seconds)
    ended = process.exitcode is not None
    process.kill()
    process.join()
    return ended
