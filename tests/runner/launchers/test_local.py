"""Processes that die, share and stop: real workers, real signals, the same bits in the end."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
import pytest
import torch
from click.testing import CliRunner
from rich.console import Console

from repro.cli import run as run_module
from repro.cli.app import app
from repro.cli.options import Request
from repro.config import machine, profiles
from repro.config.errors import SpecError
from repro.config.experiment import Job
from repro.config.hashing import canonical
from repro.config.machine import Machine, cores
from repro.results.records import load
from repro.results.retraction import withdraw
from repro.runner import worker
from repro.runner.launchers import Budget, Ended, Local, Order, local, work
from repro.training.signals import Stopped
from tests.support import ROOT
from tests.support.short_runs import CHILDREN, child, differences, execute, in_child, job, killed_after, place, record

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
STEPS = 120


class Killer:
    """Kills the worker of a job when its first checkpoint is there, as often as told."""

    def __init__(self, work: Path, name: str, times: int) -> None:
        """Take the folder of unfinished runs, the job and how often."""
        self.work, self.name, self.times, self.killed = work / name, name, times, 0
        self.pids: list[int] = []

    def __call__(self, name: str, event: Mapping[str, Any]) -> None:
        """Take in an event."""
        if name != self.name:
            return
        if "pid" in event:
            self.pids.append(event["pid"])
        elif len(self.pids) == self.killed + 1 <= self.times and list(self.work.glob("*.pt")):
            self.killed += 1
            os.kill(self.pids[-1], signal.SIGKILL)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The record of a run that nobody disturbed."""
    where = place(tmp_path_factory.mktemp("whole"), cache, 1e9)
    task = job(STEPS)
    assert execute(task, where).status == "ok"
    return record(where, task)


def test_a_killed_worker_takes_nobody_along_and_is_taken_up_again(
    tmp_path: Path, cache: Path, undisturbed: Path
) -> None:
    """One of two workers killed with -9: the other goes on undisturbed, the killed run ends with the same bits."""
    where = place(tmp_path, cache)
    victim, other = job(STEPS), job(STEPS, k=5)
    killer = Killer(where.work, victim.name, 1)
    ended = Local(2, where).run([victim, other], frozenset(), killer)
    assert {e.name: e.status for e in ended} == {victim.name: "ok", other.name: "ok"}
    assert len(killer.pids) == 2
    assert differences(record(where, victim), undisturbed) == []


def test_a_worker_that_always_dies_is_reported_and_the_rest_goes_on(tmp_path: Path, cache: Path) -> None:
    """The second death is the last: the sentence names the signal; the next job is done."""
    where = place(tmp_path, cache)
    victim, other = job(STEPS), job(3, k=5)
    ended = Local(1, where).run([victim, other], frozenset(), Killer(where.work, victim.name, 2))
    assert [e.status for e in ended] == ["failed", "ok"]
    assert "SIGKILL" in ended[0].message
    assert list((where.work / victim.name).glob("checkpoint-*.pt"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_all_with_their_checkpoints(
    tmp_path: Path, cache: Path, number: signal.Signals, undisturbed: Path
) -> None:
    """Ctrl-C, SIGTERM and Slurm's warning: saved, said by its number, taken up later to the same bits."""
    where = place(tmp_path, cache, 1e9)
    task = job(STEPS)

    def watch(_: str, event: Mapping[str, Any]) -> None:
        if "loss" in event:
            os.kill(os.getpid(), number)

    with pytest.raises(Stopped) as stopped:
        Local(cores(), where).run([task], frozenset(), watch)  # one thread, as the undisturbed run
    assert stopped.value.number == number
    assert list((where.work / task.name).glob("checkpoint-*.pt"))
    assert execute(task, where).status == "ok"
    assert differences(record(where, task), undisturbed) == []
    meta = json.loads((record(where, task) / "record.json").read_text(encoding="utf-8"))
    assert meta["seconds_total"] > meta["seconds"]  # of both processes, as the training's own time is


def test_killed_at_a_few_random_moments_the_bits_are_the_same(tmp_path: Path, cache: Path, undisturbed: Path) -> None:
    """The short form of `nox -s stress`."""
    where, task = place(tmp_path, cache), job(STEPS)
    for seconds in (0.15, 0.4, 0.6):
        killed_after(in_child(task, where), seconds)
    assert execute(task, where).status == "ok"
    assert differences(record(where, task), undisturbed) == []


def test_a_lock_ends_with_the_process_that_holds_it(tmp_path: Path, cache: Path) -> None:
    """While another process holds it a job is busy; killed with -9, it holds nothing."""
    where = place(tmp_path, cache)
    where.work.mkdir(parents=True)
    code = (
        "import sys, time, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire();"
        "print('have', flush=True); time.sleep(99)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, where.work / "a.lock"], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "have\n"
    with worker.held("a", where) as word:
        assert word == "busy"
    holder.kill()
    holder.communicate()
    holder.stdout.close()
    with worker.held("a", where) as word:
        assert word == "go"
        with pytest.raises(filelock.Timeout):
            filelock.FileLock(where.work / "a.lock").acquire(blocking=False)


def test_two_commands_share_the_work(tmp_path: Path, cache: Path) -> None:
    """Two `repro run` of the same three runs at once: each is trained by one of them, both end well."""
    words = [
        sys.executable,
        "-m",
        "repro",
        "run",
        "table2",
        "--steps",
        "3",
        "--jobs",
        "1",
        "--only",
        "gcn-k3,gcn-k5,base",
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "REPRO_CACHE": str(cache)}
    both = [
        subprocess.Popen(words, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    records = sorted(path.parent.name for path in tmp_path.glob("runs/local/*/record.json"))
    assert len(records) >= 2
    assert all(len(re.findall(rf"done {name}  \d+:\d\d", "".join(said))) == 1 for name in records), said
    assert not [path for path in (tmp_path / "runs/local").glob(".*") if path.name != ".work"]
    assert not [path for path in (tmp_path / "runs/local/.work").iterdir() if path.is_dir()]


def test_half_a_record_is_no_record(tmp_path: Path, cache: Path) -> None:
    """What a process left that died while it wrote a record is neither loaded nor in the way."""
    where, task = place(tmp_path, cache), job(3)
    torn = where.local / f".{task.name}.abc"
    torn.mkdir(parents=True)
    (torn / "record.json").write_text('{"schema": 1, "key": "k", "seed": 0, "status": "ok", "spec": {}}')
    from repro.results import records

    assert records.load({"local": where.local}).records == ()
    assert execute(task, where).status == "ok"
    assert not torn.exists()


def test_a_retracted_run_is_done_again(tmp_path: Path, cache: Path) -> None:
    """As every sentence that names `repro retract` promises; a damaged record is neither run over nor taken for one."""
    from repro.config.errors import RecordError
    from repro.results import records

    where, task = place(tmp_path, cache), job(3)
    assert execute(task, where).status == "ok"
    text = (record(where, task) / "record.json").read_text(encoding="utf-8")
    (record(where, task) / "record.json").write_text(text[:50], encoding="utf-8")
    with pytest.raises(RecordError, match="repro retract"):
        execute(task, where)
    withdraw(record(where, task), "damaged")
    assert execute(task, where).status == "ok"
    assert [found.name for found in records.load({"local": where.local}).records] == [task.name]
    assert (where.local / f"{task.name}-retracted-1" / "record.json").read_text(encoding="utf-8") == text[:50]


def _work_and_tell(where: Machine, task: Job, writer: Any) -> None:
    """Do a job as `repro run` does; tell the worker's process id."""
    Local(1, where).run([task], frozenset(), lambda _, e: writer.send(e["pid"]) if "pid" in e else None)


def test_workers_end_when_the_command_is_killed(tmp_path: Path, cache: Path) -> None:
    """The command killed with -9: its worker saves and ends, it does not train on alone."""
    where, task = place(tmp_path, cache, 1e9), job(100_000)
    reader, writer = CHILDREN.Pipe(duplex=False)
    command = child(_work_and_tell, where, task, writer)
    writer.close()  # so that a command that fails is heard
    worker = reader.recv()
    _wait_for(lambda: list((where.work / task.name).glob("log.jsonl")))
    assert not killed_after(command, 0)
    _wait_for(lambda: list((where.work / task.name).glob("checkpoint-*.pt")))
    _wait_for(lambda: not Path(f"/proc/{worker}").exists())


def _wait_for(what: Any) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(("seen", "found"), [("0,1", ("0", "1")), ("", ()), ("-1", ()), ("GPU-a", ("GPU-a",))])
def test_gpus_are_those_that_the_user_left_visible(
    monkeypatch: pytest.MonkeyPatch, seen: str, found: tuple[str, ...]
) -> None:
    """One process each; asking for more is a sentence."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    assert machine.gpus() == found
    assert Local(max(1, len(found)), place(Path("runs"), Path("cache")), machine.gpus()).free == list(found or [None])


@pytest.mark.parametrize(("count", "seen", "slots", "sharers"), [
    (3, ("0",), ["0", "0", "0"], {"0": 3}),
    (3, ("0", "1"), ["0", "1", "0"], {"0": 2, "1": 1}),
    (1, ("0", "1"), ["0", "1"], {"0": 1, "1": 1}),
    (2, (), [None, None], {None: 1}),
])  # fmt: skip
def test_more_processes_than_gpus_share_them(
    count: int, seen: tuple[str, ...], slots: list[str | None], sharers: dict[str | None, int]
) -> None:
    """Each process gets a GPU in turn, and knows with how many it shares its memory; the cores are shared too."""
    launcher = Local(count, place(Path("runs"), Path("cache")), seen)
    assert launcher.free == slots
    assert dict(launcher.sharers) == sharers
    assert launcher.place.cores == max(1, cores() // count)
    assert launcher.place.threads == 1
    assert ("on a GPU" in launcher.about) == (max(sharers.values()) > 1)


def test_processes_share_a_gpu_that_only_torch_knows() -> None:
    """ROCm and WSL have no list of GPUs: --device cuda says that there is one, and all share it."""
    where = replace(place(Path("runs"), Path("cache")), device="cuda")
    assert dict(Local(3, where).sharers) == {None: 3}


@pytest.mark.parametrize(("total", "processes", "share"), [
    (80 * 2**30, 1, 80 * 2**30), (80 * 2**30, 4, 19 * 2**30), (4 * 2**30, 4, 0), (3 * 2**30, 4, 0),
])  # fmt: skip
def test_shares_of_a_gpus_memory_leave_room_for_each_context(total: int, processes: int, share: int) -> None:
    """A process takes memory beside its tensors."""
    assert machine.memory_share(total, processes) == share


@pytest.mark.parametrize(("jobs", "peak", "said"), [
    (3, 30e9, r"--jobs 3: shapes-.* took 30.0 GB of GPU memory when it was recorded, .* use --jobs 2$"),
    (3, 90e9, r"it needs a GPU with more memory"),
    (99, 0, r"--jobs 99: a run needs some, .* gets 0.0; use --jobs 79$"),
    (3, 20e9, ""),
])  # fmt: skip
def test_more_jobs_than_a_gpus_memory_holds_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, jobs: int, peak: float, said: str
) -> None:
    """Known from a record of the same network on a GPU; said before anything is trained."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(run_module, "gpu_memory", lambda: 80 * 2**30)
    request = Request(("table2",), "shapes", 1, 3, "", tmp_path)
    task = request.plan(request.shelf).jobs[2]
    for kind, size, steps in (("cuda", int(peak), 7), ("cpu", 10**12, 8)):
        run = replace(task.run, steps=steps)
        meta = {"slug": task.run.slug, "device_type": kind, "peak_gpu_memory_bytes": size}
        folder = tmp_path / "local" / f"{run.slug}-{run.key}-s0"
        folder.mkdir(parents=True)
        head = {"schema": 1, "key": run.key, "seed": 0, "status": "ok", "spec": canonical(run)}
        (folder / "record.json").write_text(json.dumps(head | meta), encoding="utf-8")
    monkeypatch.setattr(run_module, "_run", lambda *_: [])
    how = run_module.How(jobs, None, None, "cuda", "auto", "")
    if not said:
        assert run_module.start(Console(quiet=True), request, how) == 0
        return
    with pytest.raises(SpecError, match=said):
        run_module.start(Console(quiet=True), request, how)
    assert not (tmp_path / "local" / ".work").exists()


@pytest.mark.parametrize(("error", "known"), [
    (MemoryError(), True),
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
    (RuntimeError("shapes do not match"), False),
    (ValueError("out of memory"), False),
])  # fmt: skip
def test_memory_that_runs_out_names_jobs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, known: bool
) -> None:
    """One sentence with the share and the remedy; any other fault keeps its trace in a file."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(worker, "execute", fail)
    where = place(tmp_path, tmp_path)
    for per_gpu, device, words in ((3, "cuda", "one of 3; run it with --jobs below 3"), (1, "cpu", "a smaller --jobs")):
        ended = work.do(job(3), replace(where, per_gpu=per_gpu, device=device), lambda _: None)
        assert (ended.status == "error") == known
        assert (words in ended.message) == known
        assert bool(list(tmp_path.rglob("*.error.txt"))) == (not known)


def _weights(folder: Path) -> dict[str, bytes]:
    """Return what every record below a folder holds that a thread more would move, by the run's name."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.glob("local/*/record.json")):
        meta = json.loads(path.read_text(encoding="utf-8"))
        sums = (path.parent / "weights.safetensors").read_bytes() + (path.parent / "counts.npz").read_bytes()
        found[path.parent.name] = hashlib.sha256(sums).digest() + str(meta["threads"]).encode()
    return found


def _command(folder: Path, cache: Path, *words: str, steps: int = 12) -> int:
    asked = [sys.executable, "-m", "repro", "run", "table2", "--runs", str(folder), "--steps", str(steps)]
    asked += ["--only", "conv-k3,gcn-k3", "--device", "cpu", *words]
    env = {**os.environ, "REPRO_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    return subprocess.run(asked, cwd=ROOT, env=env, capture_output=True, check=False).returncode


def test_threads_belong_to_the_run_and_not_to_the_number_of_jobs(tmp_path: Path, cache: Path) -> None:
    """The same command with one job and with two, and with one left of two: equal weights, counts and threads."""
    for name, count in (("one", "1"), ("two", "2")):
        assert _command(tmp_path / name, cache, "--jobs", count) == 0
    one = _weights(tmp_path / "one")
    assert len(one) >= 2
    assert _weights(tmp_path / "two") == one
    assert all(text.endswith(b"1") for text in one.values())
    first = min(one)
    shutil.rmtree(tmp_path / "two" / "local" / first)
    assert _command(tmp_path / "two", cache) == 0  # one run is left, on a machine of more cores
    assert _weights(tmp_path / "two") == one


def test_threads_may_be_chosen_and_are_recorded(tmp_path: Path, cache: Path) -> None:
    """Two threads in every process, whatever their number; another choice is refused in one sentence."""
    assert _command(tmp_path, cache, "--threads", "2", steps=2) == 0
    assert {text[-1:] for text in _weights(tmp_path).values()} == {b"2"}
    assert _command(tmp_path, cache, "--threads", "3", steps=2) == 2  # done before with two
    assert _command(tmp_path, cache, "--threads", "0") == 2


def test_threads_are_those_of_the_profile() -> None:
    """The shipped records have them; they do not hang on this machine."""
    for record_ in load({"reference": ROOT / "runs" / "reference"}).records:
        if record_.meta["profile"] != "shapes":
            assert record_.meta["threads"] == profiles.get(str(record_.meta["profile"])).threads
    assert {profile.threads for profile in profiles.PROFILES.values()} == {1}


def test_the_command_line_says_how_often_to_save_and_whether_to_capture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both options reach the machine that jobs are given; left out, every half minute and captured."""
    places: list[Machine] = []
    monkeypatch.setattr(run_module, "_launcher", lambda _r, _h, _j, place, *_: places.append(place))
    monkeypatch.setattr(run_module, "_run", lambda *_: [])
    for words in ([], ["--checkpoint-seconds", "2.5", "--no-graph"], ["--checkpoint-seconds", "inf", "--graph"]):
        done = CliRunner().invoke(app, ["run", "table2", "--steps", "3", "--runs", str(tmp_path), *words])
        assert done.exit_code == 0, done.output
    assert [(place.checkpoint_seconds, place.graph) for place in places] == [(30, True), (2.5, False), (math.inf, True)]


def test_outside_the_main_thread_signals_are_left_alone(tmp_path: Path, cache: Path) -> None:
    """A launcher may be called from a thread of somebody else's program."""
    ended: list[Ended] = []
    thread = threading.Thread(
        target=lambda: ended.extend(Local(1, place(tmp_path, cache)).run([job(3)], frozenset(), lambda *_: None))
    )
    before = signal.getsignal(signal.SIGTERM)
    thread.start()
    thread.join()
    assert [e.status for e in ended] == ["ok"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_training_starts_without_torchvision(tmp_path: Path, cache: Path) -> None:
    """Neither `repro run` nor its worker imports torchvision, which takes longer to import than torch."""
    words = [sys.executable, "-m", "repro", "run", "table2", "--steps", "2", "--only", "conv-k3", "--jobs", "1"]
    env = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1", "REPRO_CACHE": str(cache)}
    done = subprocess.run(
        [*words, "--runs", str(tmp_path)], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    imported = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")]
    assert {"repro.cli.app", "repro.runner.worker", "torch"} <= set(imported)
    assert not [name for name in imported if name.partition(".")[0] in {"torchvision", "torchmetrics"}]


def test_a_stop_that_is_lost_is_asked_for_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> None:
    """A worker whose first signal Python dropped stops at the second, not when it is killed a minute later."""
    task, (mine, theirs) = job(STEPS), multiprocessing.Pipe()

    class Deaf:
        asked = 0

        def terminate(self) -> None:
            self.asked += 1
            if self.asked > 1:
                theirs.send(Ended(task.name, "interrupted"))

    worker = local._Worker.__new__(local._Worker)
    worker.job, worker.gpu, worker.pipe, worker.process = task, None, mine, Deaf()  # type: ignore[assignment]
    launcher = Local(1, place(tmp_path, cache), budget=Budget(1.0))
    launcher.workers = [worker]
    monkeypatch.setattr(local, "ASK_SECONDS", 0.3)
    order = Order([task], (), lambda *_: None, budget=launcher.budget)
    launcher._stop(order, at_limit=True)
    assert worker.process.asked == 2  # type: ignore[attr-defined]
    assert [end.status for end in order.ended] == ["interrupted"]
    assert "its checkpoint is kept" in order.ended[0].message
