"""Ray: a run as a task, a lost node's run taken up elsewhere, an address that nobody answers."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from repro.config.errors import SpecError
from repro.runner.launchers import Budget
from repro.runner.launchers import ray as ray_launcher
from repro.training.signals import Stopped
from tests.support import ROOT
from tests.support.short_runs import differences, execute, job, place, record

STEPS = 300


def test_without_ray_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence with the command that installs it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SpecError, match=r"pip install .gcn-repro\[ray\]"):
        ray_launcher.import_ray()


def test_an_address_that_nobody_answers_is_said_soon() -> None:
    """A closed port, a name that does not exist, and a machine that swallows packets: within 15 s."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    for asked in (address, "no-such-host.invalid:6379", "192.0.2.1:6379", "a..b:6379", f"{'x' * 70}:6379"):
        began = time.monotonic()
        with pytest.raises(SpecError, match="nobody answers"):
            ray_launcher.check_address(asked)
        assert time.monotonic() - began < 15


def test_what_answers_but_is_no_cluster_is_said_soon() -> None:
    """A web server at the address: within 15 s, and without Ray's own warnings."""
    pytest.importorskip("ray", reason="Ray is not installed")
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(SpecError, match=r"no head of a Ray cluster|did not answer"):
            ray_launcher.check_cluster(f"127.0.0.1:{server.server_port}")
        assert time.monotonic() - began < 15
        server.shutdown()


@pytest.mark.parametrize("address", ["cluster", "host:", "host:x", ":6379"])
def test_a_word_that_is_no_address_is_said(address: str) -> None:
    """The form is named."""
    with pytest.raises(SpecError, match="host:port"):
        ray_launcher.check_address(address)


class Rayless:
    """What the launcher asks of Ray, answered by a cluster of given nodes on which no task ever starts."""

    def __init__(self, *nodes: Mapping[str, float]) -> None:
        """Take what each node has."""
        self.found = [{"Alive": True, "Resources": dict(node)} for node in nodes]

    def nodes(self) -> list[dict[str, Any]]:
        """Return the nodes as Ray does, a dead one with everything among them."""
        return [*self.found, {"Alive": False, "Resources": {"CPU": 99, "GPU": 9}}]

    def remote(self, _: object) -> Any:
        """Return a task; it takes any options."""
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda *_: object()))

    def wait(self, *_: object, **__: object) -> tuple[list[Any], list[Any]]:
        """Return that nothing has ended."""
        return [], []

    def cancel(self, *_: object, **__: object) -> None:
        """Cancel nothing."""

    def shutdown(self) -> None:
        """Leave nothing."""


def _launcher(monkeypatch: pytest.MonkeyPatch, address: str, ray: Rayless, *, threads: int, gpu: bool) -> Any:
    for name in ("check_address", "check_cluster"):
        monkeypatch.setattr(ray_launcher, name, lambda _: None)
    monkeypatch.setattr(ray_launcher, "import_ray", lambda: ray)
    where = replace(place(Path("runs"), Path("cache")), threads=threads)
    launcher = ray_launcher.Cluster(address, where, gpu=gpu)
    monkeypatch.setattr(launcher, "_join", lambda: None)
    monkeypatch.setattr(launcher, "_relay", lambda _: None)
    return launcher


@pytest.mark.parametrize(("threads", "gpu"), [(1, True), (4, False)])
def test_a_machine_without_room_for_a_run_says_so(monkeypatch: pytest.MonkeyPatch, threads: int, gpu: bool) -> None:
    """A GPU or cores that a Ray of this machine alone does not have: said at once, where Ray would wait for ever."""
    launcher = _launcher(monkeypatch, "", Rayless({"CPU": 2}), threads=threads, gpu=gpu)
    with pytest.raises(SpecError, match="this machine has no"):
        launcher.run([job(3)], frozenset(), lambda *_: None)


def test_a_cluster_without_room_is_waited_for_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may grow: the run shows what no node has, until it is stopped."""
    launcher = _launcher(monkeypatch, "head:6379", Rayless({"CPU": 8}, {"GPU": 1}), threads=1, gpu=True)
    said: list[str] = []

    def watch(_: str, event: Mapping[str, Any]) -> None:
        said.append(event["phase"])
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        launcher.run([job(3)], frozenset(), watch)
    assert said == ["waiting: no node has 1 cores and a GPU for a run"]


@pytest.mark.parametrize(("nodes", "jobs", "gpu", "asked"), [
    ([{"CPU": 64, "GPU": 8}], 0, True, (8.0, 1.0, 1, 8)),
    ([{"CPU": 64, "GPU": 8}, {"CPU": 16, "GPU": 4}, {"CPU": 8}], 0, True, (4.0, 1.0, 1, 12)),
    ([{"CPU": 64, "GPU": 8}], 16, True, (4.0, 0.5, 2, 16)),
    ([{"CPU": 8, "GPU": 1}], 3, True, (2.0, 0.3333, 3, 3)),
    ([{"CPU": 2, "GPU": 8}], 0, True, (1.0, 1.0, 1, 2)),
    ([{"CPU": 64, "GPU": 8}], 0, False, (1.0, 0.0, 1, 64)),
    ([{"CPU": 64}, {"CPU": 16}], 4, False, (4.0, 0.0, 1, 20)),
    ([], 0, True, (1.0, 1.0, 1, 0)),
])  # fmt: skip
def test_the_cores_of_a_node_are_shared_over_its_gpus(
    monkeypatch: pytest.MonkeyPatch, nodes: list[dict[str, float]], jobs: int, gpu: bool, asked: tuple[float, ...]
) -> None:
    """Eight trainings on a node of eight GPUs; with more jobs than GPUs a part of one each; threads stay the run's."""
    monkeypatch.setattr(ray_launcher, "check_address", lambda _: None)
    monkeypatch.setattr(ray_launcher, "check_cluster", lambda _: None)
    monkeypatch.setattr(ray_launcher, "import_ray", lambda: Rayless(*nodes))
    launcher = ray_launcher.Cluster("head:6379", place(Path("runs"), Path("cache")), jobs=jobs, gpu=gpu)
    launcher._share()
    assert (launcher.cpus, launcher.gpus, launcher.place.per_gpu, launcher._rooms()) == asked
    assert (launcher.place.cores, launcher.place.threads) == (int(asked[0]), 1)


def test_a_time_limit_stops_what_the_cluster_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only as many are handed over as have room; at the limit they are cancelled, the others put off."""

    class Cancelled(Rayless):
        exceptions = SimpleNamespace(RayError=TimeoutError)

        def get(self, *_: object, **__: object) -> Any:
            raise TimeoutError

    launcher = _launcher(monkeypatch, "head:6379", Cancelled({"CPU": 1}), threads=1, gpu=False)
    monkeypatch.setattr(ray_launcher, "POLL_SECONDS", 0.01)
    launcher.budget = Budget(0.5)
    ended = launcher.run([job(3), job(4)], frozenset(), lambda *_: None)
    assert [end.status for end in ended] == ["interrupted", "postponed"]


@pytest.mark.stress
@pytest.mark.filterwarnings("ignore")
def test_a_lost_nodes_run_goes_on_on_another(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nodes, one job each; the one whose run has a checkpoint is removed; the record has the undisturbed bits."""
    pytest.importorskip("ray", reason="Ray is not installed")
    from ray.cluster_utils import Cluster as Nodes

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0})
    workers = [nodes.add_node(num_cpus=1) for _ in range(2)]
    where = place(tmp_path / "shared", cache)
    tasks = [job(STEPS), job(STEPS, k=5)]
    lost: list[str] = []

    def watch(name: str, event: Mapping[str, Any]) -> None:
        if not lost and "loss" in event and list((where.work / name).glob("checkpoint-*.pt")):
            node = next(n for n in workers if _runs(n, pids[name]))
            nodes.remove_node(node, allow_graceful=False)
            lost.append(name)
        if "pid" in event:
            pids[name] = event["pid"]

    pids: dict[str, int] = {}
    try:
        ended = ray_launcher.Cluster(nodes.address, where).run(tasks, frozenset(), watch)
    finally:
        nodes.shutdown()
    assert lost
    assert {e.name: e.status for e in ended} == {task.name: "ok" for task in tasks}
    whole = place(tmp_path / "whole", cache, 1e9)
    for task in tasks:
        assert execute(task, whole).status == "ok"
        assert differences(record(where, task), record(whole, task)) == []


def _runs(node: Any, pid: int) -> bool:
    """Say whether a process is a descendant of a node's raylet."""
    roots = {p.process.pid for group in node.all_processes.values() for p in group}
    while pid > 1:
        if pid in roots:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[1])
    return False
