"""Do one job; every ending is a value, so that no job takes another one down."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from repro.atomic import atomic_write
from repro.errors import is_ours
from repro.experiment import Job
from repro.launch.order import Ended
from repro.machine import Machine
from repro.stop import Interrupted

Emit = Callable[[Mapping[str, Any]], None]


def environment(threads: int) -> dict[str, str]:
    """Return the variables a worker must find before it imports torch.

    One thread each keeps several workers from fighting over cores; waiting threads sleep.
    """
    return {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        # glibc gives large blocks back to the system after every step and faults them in again at the next.
        "MALLOC_MMAP_THRESHOLD_": str(2**31),
        "MALLOC_TRIM_THRESHOLD_": str(2**32),
    }


def do(job: Job, place: Machine, emit: Emit) -> Ended:
    """Do one job in this process and say how it ended."""
    try:
        emit({"phase": "start", "pid": os.getpid()})
        from repro import worker

        done = worker.execute(job.run, job.seed, job.name, place, emit)
    except Interrupted:
        return Ended(job.name, "interrupted", "its checkpoint is kept; the same command takes it up again")
    except Exception as error:  # noqa: BLE001 - a worker's fault must not end the others' work
        return Ended(job.name, "error", str(error)) if is_ours(error) else failed(job, place, error)
    return Ended(done.name, done.status, done.message, done.seconds)


def failed(job: Job, place: Machine, error: Exception) -> Ended:
    """Keep an unforeseen fault's trace in a file and say where."""
    last = traceback.format_exception_only(error)[-1].strip()
    path = place.work / f"{job.name}.error.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, "".join(traceback.format_exception(error)))
    except OSError:
        return Ended(job.name, "failed", f"unforeseen: {last}; its trace could not be written to {path.parent}")
    return Ended(job.name, "failed", f"unforeseen: {last}; the trace is in {path}")
