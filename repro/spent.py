"""What a job has cost: time and memory, over all the processes that worked on it one after the other."""

from __future__ import annotations

import time
from typing import Any

import torch

from repro.machine import peak_memory


class Spent:
    """A clock that goes on where the last checkpoint stopped it, under the protocol of a module's ``state_dict``.

    What a killed process did after its last checkpoint is done again, so it is not counted: the sum is about what the
    job costs undisturbed.
    """

    def __init__(self) -> None:
        """Start now."""
        self._began = _now()
        self._before: dict[str, float] = {}

    def state_dict(self) -> dict[str, float]:
        """Return ``seconds_total``, ``cpu_seconds`` (this process's own) and ``peak_memory_bytes`` up to now.

        Where a GPU was used also ``peak_gpu_memory_bytes``, the most that its tensors took (allocated, not reserved).
        """
        wall, cpu = (now - began for now, began in zip(_now(), self._began, strict=True))
        before = self._before.get
        gpu = max(int(before("peak_gpu_memory_bytes", 0)), _peak_gpu_memory())
        return {
            "seconds_total": round(before("seconds_total", 0.0) + wall, 2),
            "cpu_seconds": round(before("cpu_seconds", 0.0) + cpu, 2),
            "peak_memory_bytes": max(int(before("peak_memory_bytes", 0)), peak_memory()),
            **({"peak_gpu_memory_bytes": gpu} if gpu else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Count from what the processes before have spent."""
        self._before = dict(state)


def _peak_gpu_memory() -> int:
    """Return the most bytes of tensors on this process's GPU so far; 0 where it used none."""
    return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_initialized() else 0  # type: ignore[no-untyped-call]


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()
