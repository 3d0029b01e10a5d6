"""Jobs one after another, each trained by all processes that torchrun or srun started."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from repro.config.errors import SpecError, WorkError, is_ours
from repro.config.experiment import Job
from repro.config.machine import Machine, cores
from repro.runner.launchers.budget import Budget
from repro.runner.launchers.queue import BUSY_SECONDS, Ended, Order, Watch
from repro.runner.launchers.work import failed
from repro.training.process_group import Group
from repro.training.signals import Interrupted, Stopped, interruptible, numbers


def check(jobs: Iterable[Job], group: Group) -> None:
    """Raise ``SpecError`` where a job's batch does not divide over the group."""
    for job in jobs:
        if job.trains and job.run.recipe.batch_size % group.size:
            raise SpecError(
                f"{job.name}: a batch of {job.run.recipe.batch_size} does not divide over {group.size} processes; "
                "start a number that divides it"
            )


LOST = (
    "another process of the group ended {}; its own message says why, the last checkpoint is kept, and the same "
    "command takes the run up again"
)
GROUP_FAULTS = ("gloo", "nccl", "connection closed by peer", "connection reset by peer", "connection refused",
                "broken pipe", "socket timeout", "timed out waiting")  # fmt: skip
"""Words of torch's backends where a process of the group is gone, in errors without a type of their own."""


def partner_lost(error: BaseException) -> bool:
    """Say whether an error comes from the exchange with another process."""
    said = str(error).lower()
    return (
        isinstance(error, RuntimeError)
        and not is_ours(error)
        and (type(error).__name__.startswith("Dist") or any(words in said for words in GROUP_FAULTS))
    )


class Together:
    """Every job on all processes of the group; the first one decides, holds locks, writes and prints."""

    def __init__(self, group: Group, place: Machine, budget: Budget | None = None) -> None:
        """Take the group, the folders, which all its machines must share, and the time limit."""
        self.group, self.signal = group, numbers("SIGTERM")[0]
        # Slurm binds each task to its own cores; torchrun leaves the machine's to all of its processes. A script's
        # own --cpus-per-task is in the environment even where srun, not told of it, binds the task to one core.
        own = min(int(os.environ.get("SLURM_CPUS_PER_TASK", "0")), cores())
        self.place = replace(place, cores=own or max(1, cores() // group.local))
        self.budget, self.over = budget, False

    @property
    def about(self) -> str:
        """How many at a time, and where."""
        return f"one at a time on {self.group.size} processes"

    def run(self, jobs: Iterable[Job], have: frozenset[str], watch: Watch) -> list[Ended]:
        """Run jobs; see ``queue.Launcher``. The first job that fails ends the command: its partners cannot go on."""
        from repro.training.distributed import open_fabric

        interruptible()
        try:
            fabric = open_fabric(self.place)
            todo: list[Job] = fabric.broadcast([job for job in jobs if job.name not in have])
        except RuntimeError as error:
            if not partner_lost(error):
                raise
            raise WorkError(LOST.format("before the first run")) from error
        order = Order(todo, have, watch, budget=self.budget)
        with self._alarm():
            try:
                self._all(order, fabric)
            except Interrupted as stopped:  # between two jobs
                if not self.over:
                    raise Stopped(stopped.number) from stopped
            except RuntimeError as error:
                if not partner_lost(error):
                    raise
                raise WorkError(LOST.format("between two runs")) from error
        if self.budget and self.over:
            order.postpone()
        return order.ended

    def _all(self, order: Order, fabric: Any) -> None:  # noqa: ANN401 - lightning_fabric.Fabric
        """Do the jobs that end in time, the leader's clock deciding; the first one that fails ends it."""
        while order.waiting:
            names: list[str] = fabric.broadcast([job.name for job in order.startable[:1]])
            if not names:
                self.over = True
                return
            job = next(job for job in order.waiting if job.name == names[0])
            order.start(job)
            end = self._one(job, fabric, order.watch)
            if end.status == "interrupted" and self.over:
                order.interrupt(job, end)
                return
            order.end(end)
            if end.status == "interrupted":
                raise Stopped(self.signal)
            if end.status not in {"ok", "diverged"}:
                return

    @contextmanager
    def _alarm(self) -> Iterator[None]:
        """Stop this process at the time limit as SIGTERM does; each process of the group has a clock of its own."""
        if self.budget is None:
            yield
            return

        def stop() -> None:
            self.over = True
            os.kill(os.getpid(), self.signal)

        timer = threading.Timer(max(0.0, self.budget.left), stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _one(self, job: Job, fabric: Any, watch: Watch) -> Ended:  # noqa: ANN401 - lightning_fabric.Fabric
        """Do one job and say how it ended; a follower's fault is said by itself."""
        try:
            return self._shared(job, fabric, watch)
        except Interrupted as stopped:
            self.signal = stopped.number or self.signal
            return Ended(job.name, "interrupted", "its checkpoint is kept; the same command takes it up again")
        except Exception as error:  # noqa: BLE001 - said, then every process ends
            if partner_lost(error):
                end = Ended(job.name, "failed", LOST.format(f"during {job.name}"))
            else:
                end = Ended(job.name, "error", str(error)) if is_ours(error) else failed(job, self.place, error)
            if not self.group.leads:
                sys.stderr.write(f"process {self.group.rank}: {end.message}\n")
            return end

    def _shared(self, job: Job, fabric: Any, watch: Watch) -> Ended:  # noqa: ANN401 - as above
        from repro.runner import worker

        def emit(event: Mapping[str, Any]) -> None:
            watch(job.name, event)

        while True:
            with worker.held(job.name, self.place) if self.group.leads else nullcontext("") as mine:
                word = fabric.broadcast(mine)
                if word == "go":
                    done = worker.perform(job.run, job.seed, job.name, self.place, emit)
                    return Ended(done.name, done.status, done.message, done.seconds)
            if word == "ok":
                return Ended(job.name, "ok")
            time.sleep(BUSY_SECONDS)
