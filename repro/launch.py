"""Where a run runs: several processes here, each with its share of the cores, or a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from queue import Empty
from typing import Any

from repro.errors import is_ours
from repro.experiment import Job
from repro.machine import Machine

Event = Mapping[str, Any]
Watch = Callable[[str, Event], None]
POLL_SECONDS = 0.2
BUSY_SECONDS = 2.0
STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Ended:
    """How one job ended: ok, diverged, interrupted, error, failed or skipped, with a sentence."""

    name: str
    status: str
    message: str = ""
    seconds: float = 0.0


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


def _begin(queue: Any) -> None:  # noqa: ANN401 - a multiprocessing queue
    """Prepare a worker: signals (the parent alone answers Ctrl-C), the way back."""
    global _QUEUE  # noqa: PLW0603 - a pool's initialiser has no other way to hand over a queue
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _QUEUE = queue


_QUEUE: Any = None


def _work(job: Job, place: Machine) -> Ended:
    """Do one job in a worker; every ending is a value, so that no job takes another down."""
    from repro import worker

    def emit(event: Event) -> None:
        _QUEUE.put((job.name, dict(event)))

    emit({"phase": "start", "pid": os.getpid()})
    try:
        done = worker.execute(job.run, job.seed, job.name, place, emit)
    except worker.Interrupted:
        return Ended(job.name, "interrupted", "its checkpoint is kept; the same command takes it up again")
    except Exception as error:  # noqa: BLE001 - a worker's fault must not end the others' work
        return Ended(job.name, "error", str(error)) if is_ours(error) else _failed(job, place)
    return Ended(done.name, done.status, done.message, done.seconds)


def _failed(job: Job, place: Machine) -> Ended:
    """Keep an unforeseen fault's trace in a file and say where."""
    path = place.work / f"{job.name}.error.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(traceback.format_exc(), encoding="utf-8")
    except OSError:
        return Ended(job.name, "failed", traceback.format_exc(limit=1).splitlines()[-1])
    return Ended(job.name, "failed", f"unforeseen: {traceback.format_exc().splitlines()[-1]}; the trace is in {path}")


class Local:
    """Jobs on this machine, ``count`` at a time."""

    def __init__(self, count: int, place: Machine) -> None:
        """Take the number of processes and the folders; cores are shared out evenly."""
        cores = os.cpu_count() or 1
        self.count = count
        self.place = replace(place, threads=max(1, cores // count))
        self.pids: dict[str, int] = {}

    def run(self, jobs: Iterable[Job], have: frozenset[str], watch: Watch) -> list[Ended]:
        """Run jobs in an order that keeps first stages first.

        Args:
            jobs: what to run, in order.
            have: names of jobs whose record exists already.
            watch: receives (job name, event) for progress, and an event with ``ended`` at the end.

        Raises:
            KeyboardInterrupt: after the workers have written their checkpoints.
        """
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        # Allocator and OpenMP read their variables when a process starts: the workers inherit them.
        os.environ.update(environment(self.place.threads))
        pool = ProcessPoolExecutor(self.count, context, initializer=_begin, initargs=(queue,))
        state = _State(list(jobs), set(have))
        try:
            while state.waiting or state.running:
                self._submit(pool, state, watch)
                if not state.running:
                    time.sleep(BUSY_SECONDS)
                    continue
                done, _ = wait(state.running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                self._drain(queue, watch)
                for future in done:
                    self._finish(future, state, watch)
        except KeyboardInterrupt:
            self._stop(state)
            self._drain(queue, watch)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return state.ended

    def _submit(self, pool: ProcessPoolExecutor, state: _State, watch: Watch) -> None:
        for job in state.ready(self.count):
            bad = [name for name in job.after if name in state.spoiled]
            if bad:
                end = Ended(job.name, "skipped", f"{bad[0]}, which it builds on, did not finish")
                state.end(end)
                watch(job.name, {"ended": end})
            else:
                state.running[pool.submit(_work, job, self.place)] = job

    def _finish(self, future: Future[Ended], state: _State, watch: Watch) -> None:
        job = state.running.pop(future)
        try:
            end = future.result()
        except BrokenProcessPool:
            end = Ended(job.name, "failed", "its process was ended from outside; the same command takes it up again")
        if end.status == "busy":
            state.later(job)
            return
        state.end(end)
        watch(job.name, {"ended": end})

    def _drain(self, queue: Any, watch: Watch) -> None:  # noqa: ANN401 - a multiprocessing queue
        while True:
            try:
                name, event = queue.get_nowait()
            except Empty:
                return
            if "pid" in event:
                self.pids[name] = event["pid"]
            watch(name, event)

    def _stop(self, state: _State) -> None:
        """Ask the workers to save and stop; wait for them."""
        for job in state.running.values():
            if job.name in self.pids:
                try:
                    os.kill(self.pids[job.name], signal.SIGTERM)
                except ProcessLookupError:
                    continue
        wait(state.running, timeout=STOP_SECONDS)


class _State:
    """What waits, runs and has ended."""

    def __init__(self, jobs: list[Job], have: set[str]) -> None:
        self.waiting = [job for job in jobs if job.name not in have]
        self.running: dict[Future[Ended], Job] = {}
        self.ended: list[Ended] = []
        self.finished = have
        self.spoiled: set[str] = set()
        self.not_before: dict[str, float] = {}

    def ready(self, count: int) -> list[Job]:
        """Take out the jobs that can start now: a free process, and nothing before them open."""
        now = time.monotonic()
        settled = self.finished | self.spoiled
        able = [job for job in self.waiting if set(job.after) <= settled and self.not_before.get(job.name, 0.0) <= now][
            : max(0, count - len(self.running))
        ]
        self.waiting = [job for job in self.waiting if job not in able]
        return able

    def later(self, job: Job) -> None:
        """Put a job back that another command is doing."""
        self.not_before[job.name] = time.monotonic() + BUSY_SECONDS
        self.waiting.append(job)

    def end(self, end: Ended) -> None:
        """Note an ending; a diverged run counts as finished, its followers say so themselves."""
        self.ended.append(end)
        (self.finished if end.status in {"ok", "diverged"} else self.spoiled).add(end.name)
