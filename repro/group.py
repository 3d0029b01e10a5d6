"""The group of processes that torchrun or srun started, read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


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


def read(environment: Mapping[str, str] = os.environ) -> Group:
    """Return the group of this process: torchrun's variables, else those of a Slurm step, else it is alone.

    A batch script that Slurm started without srun has ``SLURM_NTASKS`` too, but no ``SLURM_STEP_NUM_TASKS``.
    """
    if "WORLD_SIZE" in environment and "RANK" in environment:
        size = int(environment["WORLD_SIZE"])
        return Group(int(environment["RANK"]), size, int(environment.get("LOCAL_WORLD_SIZE", size)))
    size = int(environment.get("SLURM_STEP_NUM_TASKS", "1"))
    if size == 1:
        return Group()
    nodes = max(1, int(environment.get("SLURM_STEP_NUM_NODES", "1")))
    return Group(int(environment["SLURM_PROCID"]), size, max(1, size // nodes))
