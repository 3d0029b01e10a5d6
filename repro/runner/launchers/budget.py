"""A time limit of a command: which job still ends within it, by the pace of those that ended before."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from repro.config.errors import SpecError
from repro.config.experiment import Evaluation, Job
from repro.formatting import clock

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
FORMS = "90 or 90s (seconds), 9m, 1h30m"
Seconds = Callable[[Job], float | None]


def read(text: str) -> float:
    """Return the seconds of a length of time as typed: ``90``, ``90s``, ``9m``, ``1h30m``.

    Raises:
        SpecError: it has another form, or is no time at all.
    """
    found = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip().lower())
    parts = found.groups() if found else ()
    seconds = sum(float(part) * size for part, size in zip(parts, UNITS.values(), strict=False) if part)
    if not 0 < seconds < math.inf:
        raise SpecError(f"--time-limit {text}: give a length of time, such as {FORMS}")
    return seconds


@dataclass(frozen=True)
class _Paced:
    """A job that ended in this sitting: its operations and the seconds that each took."""

    protocol: Evaluation
    """The default is that of a training."""
    operations: float
    pace: float


@dataclass
class Budget:
    """The time that a command may take; its clock starts when it is made.

    A job is expected to take its counted operations at the pace of the job of this sitting that is nearest to it in
    operations, a training by trainings and an evaluation by those of its protocol; before one has ended, the time that
    records show; without a record nothing is expected, and the job is begun. Of a training with a checkpoint the rest
    counts.
    """

    seconds: float
    operations: Seconds = lambda _: None
    """Counted floating-point operations of a job; None where they were never counted."""
    recorded: Seconds = lambda _: None
    """Seconds of a job on this kind of device, from records; None without one."""
    work: Path | None = None
    """Folder of unfinished runs, whose checkpoints shorten what is left of a job."""
    clock: Callable[[], float] = time.monotonic
    began: float = field(init=False)
    _starts: dict[str, tuple[float, float]] = field(init=False, default_factory=dict)
    """Name -> when it was begun, and which share of it was left to do."""
    _paced: list[_Paced] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Start the clock."""
        self.began = self.clock()

    @property
    def left(self) -> float:
        """Seconds until the limit; below zero beyond it."""
        return self.seconds - (self.clock() - self.began)

    def expected(self, job: Job) -> float | None:
        """Return the seconds that the rest of a job is expected to take; None where nothing tells."""
        operations = self.operations(job)
        like = [one for one in self._paced if one.protocol == job.run.evaluation]
        if operations and like:
            nearest = min(like, key=lambda one: (abs(math.log(one.operations / operations)), -one.pace))
            whole: float | None = operations * nearest.pace
        else:
            whole = self.recorded(job)
        return None if whole is None else whole * self.rest(job)

    def fits(self, job: Job) -> bool:
        """Say whether a job may be begun now: it is expected to end in time, or nothing is known of it."""
        return self.left > 0 and (self.expected(job) or 0.0) <= self.left

    def rest(self, job: Job) -> float:
        """Return the share of a job that is left to do, by the step in the name of its newest checkpoint."""
        if self.work is None or not job.trains:
            return 1.0
        steps = [path.stem.rpartition("-")[2] for path in (self.work / job.name).glob("checkpoint-*.pt")]
        done = max((int(step) for step in steps if step.isdecimal()), default=0)
        return max(0.0, 1.0 - done / job.run.steps)

    def begin(self, job: Job) -> None:
        """Note that a job starts now."""
        self._starts[job.name] = self.clock(), self.rest(job)

    def end(self, job: Job, *, finished: bool) -> None:
        """Note that a job has ended; one that finished gives the pace of those after it."""
        began, share = self._starts.pop(job.name, (0.0, 0.0))
        operations = (self.operations(job) or 0.0) * share
        if finished and operations > 0:
            self._paced.append(_Paced(job.run.evaluation, operations, (self.clock() - began) / operations))

    def why_not(self, job: Job) -> str:
        """Return in a sentence why a job was not begun."""
        needed, left = self.expected(job), self.left
        if left <= 0 or needed is None:
            return f"time limit of {clock(self.seconds)} reached before it was begun"
        limit = f"the time limit of {clock(self.seconds)}"
        return f"not begun within {limit}: about {clock(needed)} needed, {clock(left)} left"
