"""The group of processes that torchrun or srun started, read from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from repro.config.errors import SpecError


@dataclass(frozen=True)
class Group:
    """How many processes train together, and which of them this is."""

    rank: int = 0
    size: int = 1
    local: int = 1
    """Processes on this machine."""

    @property
    def leads(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0


def from_slurm(environment: Mapping[str, str] = os.environ) -> bool:
    """Say whether the group of this process was started by srun and not by torchrun."""
    return "WORLD_SIZE" not in environment and read(environment).size > 1


def one_gpu_each(environment: Mapping[str, str] = os.environ) -> bool:
    """Say whether Slurm was asked to bind one GPU to each task, which then sees no other.

    Forms: ``--gpus-per-task=1`` or ``=h100:1``, ``--ntasks-per-gpu=1``, ``--tres-per-task=gres/gpu:1``.
    """
    if not from_slurm(environment):
        return False
    asked = [environment.get(name, "") for name in ("SLURM_GPUS_PER_TASK", "SLURM_NTASKS_PER_GPU")]
    asked += [word for word in environment.get("SLURM_TRES_PER_TASK", "").split(",") if "gpu" in word]
    return any(re.fullmatch(r"(.*[:=])?1", word) for word in asked)


def read(environment: Mapping[str, str] = os.environ) -> Group:
    """Return the group of this process: torchrun's variables, else those of a Slurm step, else it is alone.

    A batch script that Slurm started without srun has ``SLURM_NTASKS`` too, but no ``SLURM_STEP_NUM_TASKS``.

    Raises:
        SpecError: a variable is missing, no number, or out of range.
    """

    def number(name: str, low: int, high: int = 10**6, default: int | None = None) -> int:
        word = environment.get(name, "" if default is None else str(default)).strip()
        if not word:
            raise SpecError(f"{name} is not set, {other} is: {remedy}")
        if not re.fullmatch(r"[0-9]{1,9}", word) or not low <= int(word) <= high:
            raise SpecError(f"{name} is {word[:40]}, not a number from {low} to {high}: {remedy}")
        return int(word)

    if "WORLD_SIZE" in environment and "RANK" in environment:
        other, remedy = "RANK", "start the processes by torchrun, or unset WORLD_SIZE and RANK"
        size = number("WORLD_SIZE", 1)
        return Group(number("RANK", 0, size - 1), size, number("LOCAL_WORLD_SIZE", 1, size, size))
    other, remedy = "SLURM_STEP_NUM_TASKS", "start the tasks by srun, or unset SLURM_STEP_NUM_TASKS"
    size = number("SLURM_STEP_NUM_TASKS", 1, default=1)
    if size == 1:
        return Group()
    nodes = number("SLURM_STEP_NUM_NODES", 1, default=1)
    for name in ("SLURM_NODEID", "SLURM_LOCALID"):  # Lightning reads them
        number(name, 0)
    return Group(number("SLURM_PROCID", 0, size - 1), size, max(1, size // nodes))
