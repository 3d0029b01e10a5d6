"""Which job may start, which waits, how each ended: the bookkeeping that every launcher shares."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from repro.experiment import Job

Event = Mapping[str, Any]
Watch = Callable[[str, Event], None]
BUSY_SECONDS = 2.0
DEATHS = 2


@dataclass(frozen=True)
class Ended:
    """How one job ended: ok, diverged, interrupted, error, failed or skipped, with a sentence."""

    name: str
    status: str
    message: str = ""
    seconds: float = 0.0


class Launcher(Protocol):
    """What `repro run` hands its jobs to."""

    @property
    def about(self) -> str:
        """How many at a time, and where."""

    def run(self, jobs: Iterable[Job], have: frozenset[str], watch: Watch) -> list[Ended]:
        """Run jobs, first stages first.

        Args:
            jobs: what to run, in order.
            have: names of jobs whose record exists already.
            watch: receives (job name, event) for progress, and an event with ``ended`` at the end.

        Raises:
            Stopped: a signal came, and the workers have written their checkpoints.
        """


class Order:
    """What waits and what has ended."""

    def __init__(self, jobs: Iterable[Job], have: Iterable[str], watch: Watch, deaths: int = DEATHS) -> None:
        """Take the jobs, the names of those done before, and how often a job's process may die."""
        self.finished, self.spoiled = set(have), set[str]()
        self.waiting = [job for job in jobs if job.name not in self.finished]
        self.ended: list[Ended] = []
        self.watch, self.most = watch, deaths
        self._not_before: dict[str, float] = {}
        self._deaths: dict[str, int] = {}

    def take(self, free: int) -> list[Job]:
        """Take out the jobs that can start now in ``free`` places; end those whose first stage did not finish."""
        self._skip()
        now = time.monotonic()
        due = [job for job in self.waiting if self._not_before.get(job.name, 0.0) <= now]
        able = [job for job in due if set(job.after) <= self.finished][: max(0, free)]
        self.waiting = [job for job in self.waiting if job not in able]
        return able

    def _skip(self) -> None:
        while bad := [(job, name) for job in self.waiting for name in job.after if name in self.spoiled]:
            job, name = bad[0]
            self.waiting.remove(job)
            self.end(Ended(job.name, "skipped", f"{name}, which it builds on, did not finish"))

    def end(self, end: Ended, job: Job | None = None) -> None:
        """Note an ending; a diverged run counts as finished, its followers say so themselves.

        A ``busy`` job, which another command is doing, goes back among those that wait.
        """
        if end.status == "busy" and job is not None:
            self._not_before[job.name] = time.monotonic() + BUSY_SECONDS
            self.waiting.append(job)
            return
        self.ended.append(end)
        (self.finished if end.status in {"ok", "diverged"} else self.spoiled).add(end.name)
        self.watch(end.name, {"ended": end})

    def died(self, job: Job, why: str) -> None:
        """Put a job back whose process died, to go on from its checkpoint; report it when that is too often."""
        self._deaths[job.name] = self._deaths.get(job.name, 0) + 1
        if self._deaths[job.name] < self.most:
            self.watch(job.name, {"phase": f"{why}; going on from the checkpoint"})
            self.waiting.insert(0, job)
            return
        message = f"{why}, {self._deaths[job.name]} times; the same command takes it up again from its checkpoint"
        self.end(Ended(job.name, "failed", message))
