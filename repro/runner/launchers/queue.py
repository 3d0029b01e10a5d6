"""Which job may start, which waits, how each ended: the bookkeeping that every launcher shares."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from repro.config.experiment import Job
from repro.runner.launchers.budget import Budget

Event = Mapping[str, Any]
Watch = Callable[[str, Event], None]
BUSY_SECONDS = 2.0
DEATHS = 2


@dataclass(frozen=True)
class Ended:
    """How one job ended, with a sentence.

    ``ok``, ``diverged``, ``interrupted``, ``error``, ``failed``, ``skipped`` (its first stage did not finish) or
    ``postponed`` (it would not have ended within the time limit).
    """

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
            jobs: what to run, the most urgent first; a job is begun when its first stages have finished.
            have: names of jobs whose record exists already.
            watch: receives (job name, event) for progress, and an event with ``ended`` at the end.

        Raises:
            Stopped: a signal came, and the workers have written their checkpoints.
        """


class Order:
    """What waits and what has ended."""

    def __init__(
        self, jobs: Iterable[Job], have: Iterable[str], watch: Watch, deaths: int = DEATHS, budget: Budget | None = None
    ) -> None:
        """Take the jobs, first the most urgent; those done before; how often a process may die; the time limit."""
        self.finished, self.spoiled = set(have), set[str]()
        self.budget, self._begun = budget, dict[str, Job]()
        self.waiting = [job for job in jobs if job.name not in self.finished]
        self.ended: list[Ended] = []
        self.watch, self.most = watch, deaths
        self._not_before: dict[str, float] = {}
        self._deaths: dict[str, int] = {}

    def take(self, free: int) -> list[Job]:
        """Take out the jobs that can start now in ``free`` places; end those whose first stage did not finish."""
        self._skip()
        if free <= 0:
            return []
        now = time.monotonic()
        due = [job for job in self.startable if self._not_before.get(job.name, 0.0) <= now]
        able = due[:free]
        for job in able:
            self.start(job)
        return able

    def start(self, job: Job) -> None:
        """Take a job out of those that wait."""
        self.waiting.remove(job)
        if self.budget:
            self._begun[job.name] = job
            self.budget.begin(job)

    @property
    def startable(self) -> list[Job]:
        """Jobs, in their order, whose first stages have finished and which are expected to end within the time limit.

        One that is too long is passed over for a shorter one behind it.
        """
        able = (job for job in self.waiting if set(job.after) <= self.finished)
        return [job for job in able if self.budget is None or self.budget.fits(job)]

    def out_of_time(self, running: int) -> bool:
        """Say whether the time limit leaves nothing to do but to stop the ``running`` jobs, if any."""
        if self.budget is None:
            return False
        self._skip()
        return self.budget.left <= 0 or (not running and bool(self.waiting) and not self.startable)

    def postpone(self) -> None:
        """End all jobs that wait: the time limit has come, or none of them would end before it."""
        assert self.budget is not None
        rest, self.waiting = self.waiting, []
        names = {job.name for job in rest}
        for job in rest:
            first = [name for name in job.after if name in names or name in self.spoiled]
            why = f"not begun: {first[0]}, which it builds on, is not finished" if first else self.budget.why_not(job)
            self.end(Ended(job.name, "postponed", why))

    def interrupt(self, job: Job, end: Ended | None) -> None:
        """Note how a job ended that was stopped at the time limit; None: it did not answer."""
        if end is None or end.status in {"interrupted", "busy"}:
            saved = "its checkpoint is kept" if end else "it did not answer; its last checkpoint is kept"
            end = Ended(job.name, "interrupted", f"time limit: {saved}, and the same command takes it up again")
        self.end(end)

    def _skip(self) -> None:
        while bad := [(job, name) for job in self.waiting for name in job.after if name in self.spoiled]:
            job, name = bad[0]
            self.waiting.remove(job)
            self.end(Ended(job.name, "skipped", f"{name}, which it builds on, did not finish"))

    def end(self, end: Ended, job: Job | None = None) -> None:
        """Note an ending; a diverged run counts as finished, its followers say so themselves.

        A ``busy`` job, which another command is doing, goes back among those that wait.
        """
        if self.budget and end.name in self._begun:
            self.budget.end(self._begun.pop(end.name), finished=end.status == "ok" and end.seconds > 0)
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
        if self.budget and self._begun.pop(job.name, None):
            self.budget.end(job, finished=False)
        if self._deaths[job.name] < self.most:
            self.watch(job.name, {"phase": f"{why}; going on from the checkpoint"})
            self.waiting.insert(0, job)
            return
        message = f"{why}, {self._deaths[job.name]} times; the same command takes it up again from its checkpoint"
        self.end(Ended(job.name, "failed", message))
