"""Do one job; every ending is a value, so that no job takes another one down."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from repro.config.errors import is_ours
from repro.config.experiment import Job
from repro.config.io import atomic_write
from repro.config.machine import Machine
from repro.runner.launchers.queue import Ended
from repro.training.signals import Interrupted

NO_MEMORY = ("out of memory", "can't allocate memory", "alloc_failed", "not enough memory")
"""What torch, cuBLAS, cuDNN and the CPU's allocator say where they raise a plain ``RuntimeError``."""
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
        from repro.runner import worker

        done = worker.execute(job.run, job.seed, job.name, place, emit)
    except Interrupted:
        return Ended(job.name, "interrupted", "its checkpoint is kept; the same command takes it up again")
    except Exception as error:  # noqa: BLE001 - a worker's fault must not end the others' work
        if is_ours(error):
            return Ended(job.name, "error", str(error))
        if out_of_memory(error):
            return Ended(job.name, "error", _too_much(job, place))
        return failed(job, place, error)
    return Ended(done.name, done.status, done.message, done.seconds)


def out_of_memory(error: BaseException) -> bool:
    """Say whether memory ran out, on a GPU or in the process, whatever library says so."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in NO_MEMORY)


def _too_much(job: Job, place: Machine) -> str:
    """Return the sentence on a job that memory does not hold."""
    if place.per_gpu > 1:
        where, remedy = f"its share of a GPU, one of {place.per_gpu}", f"--jobs below {place.per_gpu} a GPU"
    elif place.device == "cpu":
        where, remedy = "memory", "a smaller --jobs, or a machine with more memory"
    else:
        where, remedy = "memory (the GPU's or the process's)", "--jobs 1, --device cpu, or a device with more memory"
    return f"{job.name}: needs more than {where}; run it with {remedy}. What was saved is kept"


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
