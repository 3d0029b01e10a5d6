"""Jobs on a Ray cluster: one task a job, wherever a node has room; lost nodes' jobs go on elsewhere."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from repro.config.errors import SpecError
from repro.config.experiment import Job
from repro.config.machine import Machine
from repro.runner.launchers.budget import Budget
from repro.runner.launchers.queue import Ended, Order, Watch
from repro.runner.launchers.work import do, environment
from repro.training.signals import StopFlag, Stopped

POLL_SECONDS = 0.5
STOP_SECONDS = 60.0
ANSWER_SECONDS = 5.0
STATUS_SECONDS = 12.0
DEATHS = 4
"""Nodes come and go: a job may lose its process three times before it is reported."""


def import_ray() -> Any:  # noqa: ANN401 - the module
    """Return Ray; raise ``SpecError`` with the remedy where it is missing."""
    try:
        import ray
    except ImportError as error:
        raise SpecError('--launcher ray: Ray is not installed here; pip install "gcn-repro[ray]"') from error
    return ray


def check_address(address: str) -> None:
    """Raise ``SpecError`` where nobody answers at ``host:port`` within five seconds."""
    if address in {"", "auto", "local"}:
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise SpecError(f"--address {address}: give host:port of the cluster's head, such as 10.0.0.1:6379, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, UnicodeError) as error:  # the latter for a name with an empty or an endless part
        why = getattr(error, "strerror", None) or error
        raise SpecError(
            f"--address {address}: nobody answers ({why}); "
            "start the head there by `ray start --head`, or check the address"
        ) from error


def check_cluster(address: str) -> None:
    """Raise ``SpecError`` where what answers at ``host:port`` is no head of a Ray cluster, or is silent for 12 seconds.

    Ray itself goes on trying for half a minute and writes a warning each second.
    """
    if address in {"", "auto", "local"} or address.startswith("ray://"):
        return
    command = [sys.executable, "-m", "ray.scripts.scripts", "status", "--address", address]
    try:
        done = subprocess.run(command, capture_output=True, timeout=STATUS_SECONDS, check=False)  # noqa: S603
        said = "" if done.returncode == 0 else "what answers there is no head of a Ray cluster"
    except subprocess.TimeoutExpired:
        said = f"it did not answer `ray status` within {STATUS_SECONDS:.0f} s"
    if said:
        raise SpecError(
            f"--address {address}: {said}; check the address, or use --address auto on the head's own machine"
        )


class Cluster:
    """Jobs on a Ray cluster whose nodes share the folders of records, data and weights."""

    def __init__(
        self, address: str, place: Machine, *, jobs: int = 0, gpu: bool = False, budget: Budget | None = None
    ) -> None:
        """Take the head's address (empty: a Ray of this machine alone) and what the jobs share.

        Args:
            address: of the head.
            place: folders and choices of the user.
            jobs: at a time on a node; 0: one a GPU, without GPUs as many as its cores hold.
            gpu: whether a job asks for a GPU, or for its share of one where there are more jobs than GPUs.
            budget: the time limit; None: as long as it takes.

        Raises:
            SpecError: Ray is missing, or nobody answers.
        """
        check_address(address)
        self.ray = import_ray()
        check_cluster(address)
        self.address, self.jobs, self.gpu, self.budget = address, jobs, gpu, budget
        self.cpus, self.gpus = float(place.threads), float(gpu)
        """Of a job, as it is asked for; set when the nodes are known."""
        weights, data = place.weights, place.data_root
        self.place = replace(
            place, runs=place.runs.absolute(), cache=place.cache.absolute(),
            weights=weights and weights.absolute(), data_root=data and data.absolute(),
        )  # fmt: skip
        self.queue: Any = None

    @property
    def about(self) -> str:
        """How many at a time, and where."""
        where = f"on the Ray cluster {self.address}" if self.address else "on a Ray of this machine"
        if self.jobs:
            return f"{where}, {self.jobs} at a time on a node, which share its cores{' and GPUs' * self.gpu}"
        each = "a GPU and its share of the node's cores" if self.gpu else f"cores for {self.place.threads} threads"
        return f"{where}, {each} for each run"

    def run(self, jobs: Iterable[Job], have: frozenset[str], watch: Watch) -> list[Ended]:
        """Run jobs; see ``queue.Launcher``.

        Raises:
            SpecError: there is no cluster to join, or a Ray of this machine alone that has no room for a job.
        """
        order = Order(jobs, have, watch, DEATHS, self.budget)
        self._join()
        try:
            self._share()
            if not self.address and not self._has_room():
                raise SpecError(f"--launcher ray: this machine has no {self._asked}; use --device cpu or other --jobs")
            with StopFlag() as stop:
                self._until_done(order, stop)
        finally:
            self.ray.shutdown()
        return order.ended

    def _join(self) -> None:
        """Connect; Ray hands this process's module path on to the workers."""
        try:
            self.ray.init(address=self.address or "local", log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError) as error:
            first = str(error).splitlines()[0]
            raise SpecError(f"--address {self.address or 'local'}: no Ray cluster to join ({first})") from error
        from ray.util.queue import Queue

        self.queue = Queue(actor_options={"num_cpus": 0, **self._at_home()})

    def _share(self) -> None:
        """Share the cores of the smallest node that could take a job among the jobs that it would run at a time.

        On a node of eight GPUs and 64 cores a job gets a GPU and 8 cores, or with ``jobs`` 16 half a GPU and 4 cores.
        """
        able = [node for node in self._nodes() if node.get("GPU", 0) >= self.gpu]
        fewest = min((int(node["GPU"]) for node in able), default=1) if self.gpu else 0
        cpus = min((int(node.get("CPU", 0)) for node in able), default=1)
        sharers = -(-self.jobs // fewest) if self.gpu and self.jobs > fewest else 1
        side = self.jobs or fewest
        if side:  # else as many as the cores hold
            self.cpus = float(max(1, cpus // side))
        self.gpus = round(1 / sharers - 5e-5, 4) if sharers > 1 else float(self.gpu)  # Ray counts ten-thousandths
        self.place = replace(self.place, cores=int(self.cpus), per_gpu=sharers)

    def _nodes(self) -> list[Mapping[str, float]]:
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    @property
    def _asked(self) -> str:
        return f"{self.cpus:g} cores{' and a GPU' * self.gpu} for a run"

    def _has_room(self) -> bool:
        """Whether a node of the cluster, were it idle, could take a job; Ray waits for one without a word."""
        return self._rooms() > 0

    def _rooms(self) -> int:
        """Return how many jobs the whole cluster, were it idle, could take at a time."""
        by_cores = [int(node.get("CPU", 0) // self.cpus) for node in self._nodes()]
        if not self.gpu:
            return sum(by_cores)
        by_gpus = [int(node.get("GPU", 0) // self.gpus) for node in self._nodes()]
        return sum(map(min, by_cores, by_gpus))

    def _at_home(self) -> dict[str, Any]:
        """Keep the way back on the driver's own node: it must not be lost with another."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        home = self.ray.get_runtime_context().get_node_id()
        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(home, soft=False)}

    def _until_done(self, order: Order, stop: StopFlag) -> None:
        task = self.ray.remote(_remotely).options(
            num_cpus=self.cpus, num_gpus=self.gpus, max_retries=0, scheduling_strategy="SPREAD"
        )
        running: dict[Any, Job] = {}
        while (order.waiting or running) and not stop.raised and not order.out_of_time(len(running)):
            # A job that Ray lets wait for a place would have its time run: with a limit it waits here.
            free = self._rooms() - len(running) if self.budget else len(order.waiting)
            for job in order.take(free):
                running[task.remote(job, self.place, self.queue)] = job
            self._collect(order, running)
            if running and not self._has_room():  # a cluster may grow
                order.watch(next(iter(running.values())).name, {"phase": f"waiting: no node has {self._asked}"})
        if stop.raised:
            self._stop(order, running)
            raise Stopped(stop.number)
        if order.waiting or running:
            self._stop(order, running)
            self._note(order, running)
            order.postpone()

    def _note(self, order: Order, running: dict[Any, Job]) -> None:
        """Note how each job ended that was stopped at the time limit."""
        for reference, job in running.items():
            try:
                order.interrupt(job, self.ray.get(reference, timeout=0))
            except self.ray.exceptions.RayError:  # cancelled before it began, lost, or still at work
                order.interrupt(job, None)

    def _collect(self, order: Order, running: dict[Any, Job]) -> None:
        if not running:
            time.sleep(POLL_SECONDS)
        done = self.ray.wait(list(running), timeout=POLL_SECONDS)[0] if running else []
        self._relay(order.watch)
        for reference in done:
            job = running.pop(reference)
            try:
                order.end(self.ray.get(reference), job)
            except self.ray.exceptions.RayError as error:
                kind = type(error).__name__
                order.died(job, f"its node or process was lost ({kind})")

    def _relay(self, watch: Watch) -> None:
        """Hand on what the tasks have said since."""
        try:
            for name, event in self.queue.get_nowait_batch(self.queue.qsize()):
                watch(name, event)
        except queue.Empty:
            return

    def _stop(self, order: Order, running: dict[Any, Job]) -> None:
        """Interrupt the tasks, which then save; wait for them."""
        for reference in running:
            self.ray.cancel(reference, force=False)
        self.ray.wait(list(running), num_returns=len(running), timeout=STOP_SECONDS) if running else None
        self._relay(order.watch)


def _remotely(job: Job, place: Machine, channel: Any) -> Ended:  # noqa: ANN401 - Ray's queue
    """Do one job in a Ray worker; an event that cannot be sent is dropped, the job goes on."""

    def emit(event: Mapping[str, Any]) -> None:
        with contextlib.suppress(Exception):
            channel.actor.put_nowait.remote((job.name, dict(event)))

    os.environ.update(environment(place.threads))  # read when torch is imported, by the worker's first job
    try:
        return do(job, place, emit)
    except KeyboardInterrupt:  # Ray's way to cancel
        return Ended(job.name, "interrupted", "its checkpoint is kept; the same command takes it up again")
