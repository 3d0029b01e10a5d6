"""What a job has cost: time and memory, over all the processes that worked on it one after the other."""

from __future__ import annotations

import time
from typing import Any

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
        """Return ``seconds_total``, ``cpu_seconds`` (this process's own) and ``peak_memory_bytes`` up to now."""
        wall, cpu = (now - began for now, began in zip(_now(), self._began, strict=True))
        before = self._before.get
        return {
            "seconds_total": round(before("seconds_total", 0.0) + wall, 2),
            "cpu_seconds": round(before("cpu_seconds", 0.0) + cpu, 2),
            "peak_memory_bytes": max(int(before("peak_memory_bytes", 0)), peak_memory()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Count from what the processes before have spent."""
        self._before = dict(state)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()
