"""Jobs on this machine: several processes, each with its share of the cores and a GPU, its own or shared."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from multiprocessing import connection, resource_tracker
from typing import Any

from repro.config import console
from repro.config.experiment import Job
from repro.config.machine import Machine, cores
from repro.runner.launchers.budget import Budget
from repro.runner.launchers.queue import Ended, Order, Watch
from repro.runner.launchers.work import do, environment
from repro.training.signals import Interrupted, StopFlag, Stopped, held_back, interruptible, let_through

POLL_SECONDS = 0.2
STOP_SECONDS = 60.0
ASK_SECONDS = 5.0
"""After which a worker that has not stopped is asked again: Python drops an exception that a signal's handler raises
inside a callback of the interpreter, which imports are full of."""
NO_MEMORY = ", out of memory? a smaller --jobs needs less"


def _serve(pipe: Any, place: Machine, gpu: str | None) -> None:  # noqa: ANN401 - an end of a multiprocessing pipe
    """Be a worker: do jobs until there are no more. The parent alone answers Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    console.survive()
    interruptible()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu

    def emit(event: Mapping[str, Any]) -> None:
        try:
            with held_back():  # half a message would never end
                pipe.send(dict(event))
        except OSError:  # the parent is gone: save and stop
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        let_through()
        while (job := pipe.recv()) is not None:
            ended = do(job, place, emit)
            with held_back():
                pipe.send(ended)
    except (EOFError, OSError, Interrupted):
        return


class _Worker:
    """One process and the job it does."""

    def __init__(self, place: Machine, gpu: str | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.gpu, self.job = gpu, None  # type: str | None, Job | None
        resource_tracker.ensure_running()
        with held_back():
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=_serve, args=(theirs, place, gpu))
            self.process.start()
        theirs.close()

    def give(self, job: Job) -> None:
        self.job = job
        try:
            self.pipe.send(job)
        except OSError:  # it died while idle; reading says so next
            return

    def hear(self) -> Any:  # noqa: ANN401 - an event, an ending, or None
        """Return the next event or ending; None where the process has died."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(STOP_SECONDS)
            return None

    @property
    def death(self) -> str:
        """What ended the process, in words."""
        code = self.process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return f"its process was ended from outside ({name}{NO_MEMORY if name == 'SIGKILL' else ''})"
        return f"its process ended with code {code}"


class Local:
    """Jobs on this machine, ``count`` at a time."""

    def __init__(
        self, count: int, place: Machine, gpus: tuple[str, ...] = (), *, budget: Budget | None = None, why: str = ""
    ) -> None:
        """Take what the jobs share.

        Args:
            count: number of processes; more than ``gpus`` share them, cores are shared evenly.
            place: folders and choices of the user.
            gpus: to hand out, in turn.
            budget: the time limit; None: as long as it takes.
            why: what bounds the number of processes, in words.
        """
        self.count, self.budget, self.why = count, budget, why
        self.place = replace(place, cores=max(1, cores() // count))
        slots = max(count, len(gpus))
        self.free: list[str | None] = [gpus[i % len(gpus)] for i in range(slots)] if gpus else [None] * count
        self.sharers = Counter(self.free)
        if not gpus and place.device != "cuda":
            self.sharers = Counter({None: 1})
        self.workers: list[_Worker] = []

    @property
    def about(self) -> str:
        """How many at a time, and where."""
        most = max(self.sharers.values())
        shared = f", up to {most} on a GPU" if most > 1 else ""
        return f"{self.count} at a time{shared}{f' ({self.why})' if self.why else ''}"

    def run(self, jobs: Iterable[Job], have: frozenset[str], watch: Watch) -> list[Ended]:
        """Run jobs; see ``queue.Launcher``. A worker that dies takes only its own job along, once."""
        # Allocator and OpenMP read their variables when a process starts: the workers inherit them.
        os.environ.update(environment(self.place.threads))
        order = Order(jobs, have, watch, budget=self.budget)
        try:
            with StopFlag() as stop:
                while (order.waiting or self._busy) and not stop.raised and not order.out_of_time(len(self._busy)):
                    self._hand_out(order)
                    self._listen(order)
                if stop.raised:
                    self._stop(order)
                    raise Stopped(stop.number)
                if order.waiting or self._busy:
                    self._stop(order, at_limit=True)
                    order.postpone()
        finally:
            self._dismiss()
        return order.ended

    @property
    def _busy(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.job is not None]

    def _hand_out(self, order: Order) -> None:
        for job in order.take(self.count - len(self._busy)):
            idle = [worker for worker in self.workers if worker.job is None and worker.process.is_alive()]
            worker = idle[0] if idle else self._hire()
            worker.give(job)

    def _hire(self) -> _Worker:
        for gone in [w for w in self.workers if w.job is None and not w.process.is_alive()]:
            self._bury(gone)
        gpu = self.free.pop(0)
        worker = _Worker(replace(self.place, per_gpu=self.sharers[gpu]), gpu)
        self.workers.append(worker)
        return worker

    def _bury(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        self.free.append(worker.gpu)
        worker.pipe.close()

    def _listen(self, order: Order) -> None:
        """Take in what the workers say within a moment."""
        busy = {worker.pipe: worker for worker in self._busy}
        if not busy:
            time.sleep(POLL_SECONDS)
            return
        for pipe in connection.wait(list(busy), POLL_SECONDS):
            self._take(busy[pipe], order)  # type: ignore[index]

    def _take(self, worker: _Worker, order: Order) -> None:
        job, said = worker.job, worker.hear()
        assert job is not None
        if isinstance(said, Ended):
            worker.job = None
            order.end(said, job)
        elif said is None:
            worker.job = None
            self._bury(worker)
            order.died(job, worker.death)
        else:
            order.watch(job.name, said)

    def _stop(self, order: Order, *, at_limit: bool = False) -> None:
        """Ask the workers to save and stop; wait for them. A second signal does not wait.

        At the time limit, where the command goes on to its end, note how each job ended.
        """
        deadline, asked = time.monotonic() + STOP_SECONDS, -math.inf
        with StopFlag() as again:
            while self._busy and time.monotonic() < deadline and not again.raised:
                if time.monotonic() > asked + ASK_SECONDS:
                    asked = time.monotonic()
                    for worker in self._busy:
                        worker.process.terminate()
                for pipe in connection.wait([w.pipe for w in self._busy], POLL_SECONDS):
                    worker = next(w for w in self._busy if w.pipe is pipe)
                    job, said = worker.job, worker.hear()
                    assert job is not None
                    if said is None or isinstance(said, Ended):
                        worker.job = None
                        if at_limit:
                            order.interrupt(job, said)
                    else:
                        order.watch(job.name, said)
        for worker in self._busy if at_limit else ():
            assert worker.job is not None
            order.interrupt(worker.job, None)  # it stays busy here, so that it is ended

    def _dismiss(self) -> None:
        """Send every worker home; one that still works after a stop is ended."""
        for worker in self.workers:
            if worker.job is not None:
                worker.process.kill()
                continue
            try:
                worker.pipe.send(None)
            except OSError:
                continue
        for worker in self.workers:
            worker.process.join(STOP_SECONDS)
        self.workers.clear()
