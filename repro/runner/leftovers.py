"""Files that finished jobs and killed processes leave, removed by whoever holds the job's lock."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress

from repro.config.io import clear_partial, locked
from repro.config.machine import Machine


def tidy(name: str, place: Machine) -> None:
    """Remove the work folder and the lock of a finished job, and what killed processes left of it."""
    shutil.rmtree(place.work / name, ignore_errors=True)
    clear(name, place)
    if os.name == "posix":  # a process that waits for the removed lock finds the record
        (place.work / f"{name}.lock").unlink(missing_ok=True)


def clear(name: str, place: Machine) -> None:
    """Remove the parts of records, checkpoints and files that killed processes left of a job."""
    for partial in place.local.glob(f".{name}.*"):
        shutil.rmtree(partial, ignore_errors=True)
    clear_partial(place.work / name, age=0)
    for folder in (place.local, place.work):
        clear_partial(folder)


def tidy_finished(names: Iterable[str], place: Machine) -> None:
    """Remove what was left of jobs that have their record; of one that another process holds, nothing."""
    for name in names:
        lock = place.work / f"{name}.lock"
        if lock.exists() or (place.work / name).exists():
            with suppress(OSError), locked(lock, wait=False):
                tidy(name, place)
