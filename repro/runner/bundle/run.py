"""Run a bundle's jobs by priority until a limit; each record is archived as it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from repro.config import profiles
from repro.config.errors import BundleError, DataError
from repro.config.experiment import Job
from repro.config.io import HeldError, locked
from repro.config.machine import Machine, gpus
from repro.data import load
from repro.data.cache import open_store
from repro.formatting import clock, many
from repro.results import records
from repro.runner import budget as budget_module
from repro.runner.budget import Estimates
from repro.runner.bundle import device as devices
from repro.runner.bundle import packages, unpacking
from repro.runner.bundle.manifest import DATA, Manifest
from repro.runner.bundle.results import FILE_SIZE, Results
from repro.runner.bundle.unpacking import Unpacked
from repro.runner.launchers import Budget, Ended, Local
from repro.runner.plan import ENDED
from repro.training.signals import Stopped

DEVICES, PRECISIONS = ("auto", "cpu", "cuda"), ("auto", "32", "bf16")
AT_LIMIT = frozenset({"interrupted", "postponed"})
"""How runs end that the time limit stopped or did not let begin."""
MOST_FILES = 8
"""Files that a slot lets back."""


@dataclass(frozen=True)
class How:
    """What was typed after ``bundle run``."""

    archives: tuple[Path, ...]
    out: Path
    work: Path | None = None
    jobs: int | None = None
    device: str = "auto"
    precision: str = "auto"
    limit: float | None = None
    """Seconds from the start of the command; None: until all is done."""
    bring: tuple[str, ...] = ()
    file_size: int = FILE_SIZE
    began: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self.began


@dataclass(frozen=True)
class Chosen:
    """The jobs that can run here, and why each other one cannot."""

    jobs: tuple[Job, ...]
    left_out: Mapping[str, str]
    """Name -> reason."""


class _Log:
    """Lines that go to the console and to a file that comes back, each with the time since the start."""

    def __init__(self, out: Console, folder: Path, began: float) -> None:
        self.out, self.began = out, began
        self.file: TextIO = (folder / "run.log").open("a", encoding="utf-8", buffering=1)

    def __call__(self, line: str, style: str = "") -> None:
        text = f"{time.monotonic() - self.began:7.1f} s  {line}"
        self.out.print(text, style=style, soft_wrap=True, markup=False)
        self.file.write(text + "\n")

    def close(self) -> None:
        self.file.close()


def run(out: Console, how: How) -> int:
    """Run what a bundle holds; return the exit code.

    Returns:
        0: what could run has ended, or the limit came and something has; 1: a run failed; 128 and a signal's number:
        stopped.

    Raises:
        BundleError: the bundle cannot be used here, nothing of it can run, or the limit is too short for one run.
    """
    if lacking := packages.missing():
        raise BundleError(packages.sentence(lacking))
    for name, value, known in (("device", how.device, DEVICES), ("precision", how.precision, PRECISIONS)):
        if value not in known:
            raise BundleError(f"--{name} {value}: choose from {', '.join(known)}")
    if how.jobs is not None and how.jobs < 1:
        raise BundleError(f"--jobs {how.jobs}: at least one process is needed")
    manifest, archives = unpacking.read(how.archives)
    if manifest.record:
        raise BundleError(f"{how.archives[0]}: the weights of {manifest.record}, not a bundle; use repro bundle merge")
    unpacking.check_code(manifest)
    os.environ["REPRO_COMMIT"] = manifest.commit  # what the workers write into their records
    folder = how.work or unpacking.default_folder(manifest)
    with ExitStack() as stack:
        try:
            how.out.mkdir(parents=True, exist_ok=True)
            unpacking.own(folder)
            stack.enter_context(locked(folder / "lock", wait=False))
            log = _Log(out, how.out, how.began)
            stack.callback(log.close)
        except HeldError as error:
            raise BundleError(
                f"{folder}: another bundle run has it; wait for its end, or choose another --work"
            ) from error
        except OSError as error:
            raise BundleError(f"{error.filename}: cannot be written ({error.strerror or error})") from error
        return _Slot(log, how, unpacking.unpack(manifest, archives, folder)).run()


class _Slot:
    """One call of the command: what it was given, what it has done."""

    def __init__(self, log: _Log, how: How, bundle: Unpacked) -> None:
        self.log, self.how, self.bundle = log, how, bundle
        self.manifest: Manifest = bundle.manifest
        used = {job.run.profile for job in bundle.manifest.jobs}
        weights = bundle.tree / bundle.manifest.weights if bundle.manifest.weights else None
        self.place = Machine(
            runs=bundle.folder / "runs", cache=bundle.folder / "cache", data_root=bundle.tree / DATA,
            weights=weights, threads=max((profiles.get(name).threads for name in used), default=1),
            device=how.device, precision=how.precision,  # type: ignore[arg-type]
            checkpoint_seconds=float("inf"),  # the disk of a slot goes with it
        )  # fmt: skip
        self.results = Results(how.out, bundle.manifest, how.file_size)
        self.by_name = {job.name: job for job in bundle.manifest.jobs}
        self.ended: dict[str, Ended] = {}
        self.steps: dict[str, tuple[int, int]] = {}
        self.facts: dict[str, Any] = {}

    def run(self) -> int:
        """Prepare, run, and say how it went."""
        brought = named(self.manifest.jobs, self.how.bring)
        (self.bundle.tree / DATA).mkdir(parents=True, exist_ok=True)
        asked = devices.Asked(self.how.device)
        self.log(f"bundle {self.manifest.identity[:12]} of commit {self.manifest.commit}: {self._whole}")
        chosen = self._choose()
        device = asked.answer(self.how.precision)
        self._say_device(device)
        self.place = replace(self.place, device="cuda" if device.gpus else "cpu")
        done = self._done()
        todo = tuple(job for job in chosen.jobs if job.name not in done)
        for reason in dict.fromkeys(chosen.left_out.values()):
            count = sum(other == reason for other in chosen.left_out.values())
            self.log(f"left out: {many(count, 'run')} ({reason})", "yellow")
        if not chosen.jobs:
            raise BundleError(
                f"nothing of this bundle can run here: {next(iter(chosen.left_out.values()))}"
                if chosen.left_out else "this bundle holds no run"
            )  # fmt: skip
        count = self._processes(device, todo)
        if todo:
            devices.check_memory(
                device, min(count, len(todo)), max((self._memory(job, device) for job in todo), default=0)
            )
        for name in done:
            self._finished(name, brought)
        left = None if self.how.limit is None else self.how.limit - self.how.spent
        if left is not None and left <= 0 and todo:
            raise BundleError(
                f"--time-limit {clock(self.how.limit or 0)}: gone before the first run began, after "
                f"{clock(self.how.spent)} of unpacking and decoding; give a longer one"
            )
        code = self._launch(todo, done, count, device, brought, left)
        self._summary(chosen, len(done))
        if (
            not done
            and todo
            and left is not None
            and not any(e.status in ENDED for e in self.ended.values())
            and code == 0
        ):
            raise BundleError(self._too_short(todo[0]))
        return code

    @property
    def _whole(self) -> str:
        parts = len(self.manifest.parts)
        here = f"part {', '.join(map(str, sorted(self.bundle.parts)))} of {parts}" if self.bundle.missing else "whole"
        return f"{here}, {many(len(self.manifest.jobs), 'run')} planned"

    def _say_device(self, device: devices.Device) -> None:
        narrow = self.how.precision == "32" or not device.bf16
        kind = "float32" if narrow else "bf16 where it is faster"
        where = f"{device.name}{f' x {device.gpus}' if device.gpus > 1 else ''}"
        self.log(f"{where}, {kind}, torch {device.torch}, {device.free / 1e9:.0f} GB free")
        self.facts = {"device": device.name, "gpus": device.gpus, "torch": device.torch, "bf16": device.bf16}

    def _choose(self) -> Chosen:
        """Return what can run: whose files are here, whose packages are here, and whose pixels are the expected."""
        faults: dict[str, str] = {}
        left_out: dict[str, str] = {}
        jobs: list[Job] = []
        for job in self.manifest.jobs:
            if reason := self._hindrance(job, faults) or next(
                (f"{name}, which it builds on, is left out" for name in job.after if name in left_out), ""
            ):
                left_out[job.name] = reason
            else:
                jobs.append(job)
        return Chosen(tuple(jobs), left_out)

    def _hindrance(self, job: Job, faults: dict[str, str]) -> str:
        """Return why a job cannot run here, or nothing; ``faults`` keeps what is known of the splits."""
        lost = self.manifest.parts_of(self.manifest.needs(job)) - self.bundle.parts
        if job.run.evaluation.crf is not None and not packages.has_crf():
            return "its dense CRF needs pydensecrf2, which is not installed here"
        for name in (f"{s.dataset}/{s.split}" for s in (*(job.run.train if job.trains else ()), job.run.test)):
            split = next(split for split in self.manifest.splits if split.name == name)
            if name not in faults and self.manifest.parts_of(split.files) <= self.bundle.parts:
                faults[name] = self._split_fault(name, split.fingerprint)
            if faults.get(name):
                return faults[name]
        if lost:
            return f"its data or weights are in part {', '.join(map(str, sorted(lost)))}, which has not come yet"
        return ""

    def _split_fault(self, name: str, fingerprint: str) -> str:
        """Decode a split; return the package that it lacks, or nothing.

        Raises:
            BundleError: its pixels are others than where the bundle was made.
        """
        began = time.monotonic()
        dataset, _, split = name.partition("/")
        try:
            store = open_store(load(dataset, split, self.place.data_root), self.place.cache)
        except ModuleNotFoundError as error:
            return f"{name} needs {error.name}, which is not installed here"
        except DataError as error:
            raise BundleError(f"{name}: {error}") from error
        if store.fingerprint != fingerprint:
            raise BundleError(
                f"{name}: decoded here it has the fingerprint {store.fingerprint[:12]} and not {fingerprint[:12]}, so "
                f"its runs would be other experiments; {_versions()} made these pixels: install those of the bundle's "
                "machine"
            )
        self.log(f"{name}: {many(len(store), 'image')} as expected, {time.monotonic() - began:.1f} s")
        return ""

    def _done(self) -> frozenset[str]:
        shelf = records.load({"local": self.place.local})
        have = {(r.key, r.seed) for r in shelf.records if r.status in ENDED}
        return frozenset(job.name for job in self.manifest.jobs if (job.run.key, job.seed) in have)

    def _processes(self, device: devices.Device, todo: Sequence[Job]) -> int:
        return max(1, min(self.how.jobs or max(1, device.gpus), len(todo)))

    def _memory(self, job: Job, device: devices.Device) -> int:
        return self.manifest.memory.get("cuda" if device.gpus else "cpu", {}).get(job.run.trained().key, 0)

    def _launch(
        self, todo: Sequence[Job], done: frozenset[str], count: int, device: devices.Device, brought: frozenset[str],
        left: float | None,
    ) -> int:  # fmt: skip
        """Run the jobs until they have ended or the time is up; return the exit code."""
        if not todo:
            return 0
        self.place.work.mkdir(parents=True, exist_ok=True)
        launcher = Local(count, self.place, gpus() if device.gpus else (), budget=self._budget(todo, done, left))
        self.log(f"{many(len(todo), 'run')} to do ({len(done)} done before), {launcher.about}{_until(self.how.limit)}")

        def watch(name: str, event: Mapping[str, Any]) -> None:
            if "step" in event and event.get("phase") == "train":
                self.steps[name] = int(event["step"]), int(event["steps"])
            if isinstance(end := event.get("ended"), Ended):
                self.ended[name] = end
                self.log(_line(end), "" if end.status in ENDED else "yellow" if end.status in AT_LIMIT else "red")
                self._finished(name, brought)

        try:
            launcher.run(todo, done, watch)
        except Stopped as stopped:
            self.log("stopped: what was finished is archived", "yellow")
            return 128 + stopped.number
        return 1 if any(end.status not in ENDED | AT_LIMIT for end in self.ended.values()) else 0

    def _budget(self, todo: Sequence[Job], done: frozenset[str], left: float | None) -> Budget | None:
        """Return the time that is left for the runs; None without a limit.

        Raises:
            BundleError: by the runs that ended here before, the first one does not end in it.
        """
        if left is None:
            return None
        times = Estimates.read(records.load({"local": self.place.local}), self.place.device)

        def operations(job: Job) -> float | None:
            found = budget_module.of(job.run)
            return found.flops if found else None

        budget = Budget(left, operations, lambda job: times.seconds(job.run), self.place.work)
        first = next(job for job in todo if set(job.after) <= done)
        if not budget.fits(first):
            raise BundleError(
                f"--time-limit {clock(self.how.limit or 0)}: {first.name}, the first run, is expected to take "
                f"{clock(budget.expected(first) or 0)} and {clock(left)} are left; give a longer one"
            )
        return budget

    def _finished(self, name: str, brought: frozenset[str]) -> None:
        """Archive a record that has just ended, and its weights where they were asked for."""
        folder = self.place.local / name
        found = next((r for r in records.load({"local": self.place.local}).records if r.folder == folder), None)
        if found is None or found.status not in ENDED:
            return
        self.results.add(folder)
        if name in brought and found.status == "ok":
            paths = self.results.bring(found)
            self.log(f"{many(len(paths), 'file')} of weights of {name}: {', '.join(path.name for path in paths)}")

    def _summary(self, chosen: Chosen, before: int) -> None:
        good = sum(end.status in ENDED for end in self.ended.values())
        unfinished = [end.name for end in self.ended.values() if end.status == "interrupted"]
        for name in unfinished:
            step, steps = self._reached(self.by_name[name])
            self.log(f"unfinished: {name} at step {step:,} of {steps:,}")
        for trace in sorted(self.place.work.glob("*.error.txt")):
            self.log(f"{trace.name}: {trace.read_text(encoding='utf-8').strip()}")
        waiting = len(chosen.jobs) - before - sum(end.status != "postponed" for end in self.ended.values())
        files = sorted(path for path in self.how.out.iterdir() if path.is_file() and not path.name.startswith("."))
        size = sum(path.stat().st_size for path in files)
        self.log(
            f"{many(good, 'run')} finished, {before} before, {len(unfinished)} unfinished, {max(0, waiting)} not begun"
            f", {len(chosen.left_out)} left out; {self.how.out}: {many(len(files) + 1, 'file')}, {size / 2**20:.2f} MiB"
        )
        if len(files) + 1 > MOST_FILES:
            self.log(f"{self.how.out} holds more than {MOST_FILES} files, and a slot may leave some out", "yellow")
        self.results.summary(
            {
                "bundle": self.manifest.identity, "commit": self.manifest.commit, **self.facts,
                "seconds": round(self.how.spent, 1), "left_out": dict(chosen.left_out),
                "ended": {e.name: {"status": e.status, "seconds": round(e.seconds, 2), "message": e.message}
                          for e in self.ended.values()},
                "unfinished": {name: self._reached(self.by_name[name]) for name in unfinished},
            }
        )  # fmt: skip

    def _reached(self, job: Job) -> tuple[int, int]:
        return self.steps.get(job.name, (0, job.run.steps))

    def _too_short(self, first: Job) -> str:
        step, steps = self._reached(first)
        return (
            f"--time-limit {clock(self.how.limit or 0)}: over before the first run ended ({first.name} was at step "
            f"{step:,} of {steps:,}); give a longer one; with the same --work it goes on from its checkpoint"
        )


def named(jobs: Sequence[Job], words: Sequence[str]) -> frozenset[str]:
    """Return the names of the jobs whose weights are asked for, by network (seed 0) or by the run's whole name.

    Raises:
        BundleError: a word that names no training of the bundle.
    """
    found: set[str] = set()
    for word in words:
        same = [
            job.name
            for job in jobs
            if job.trains and (job.name == word or (job.seed == 0 and job.run.slug == f"{job.run.profile}-{word}"))
        ]
        if not same:
            known = sorted({job.run.slug.removeprefix(f"{job.run.profile}-") for job in jobs if job.trains})
            raise BundleError(f"--bring {word}: no training of this bundle has that name; it has {', '.join(known)}")
        found |= set(same)
    return frozenset(found)


def _line(end: Ended) -> str:
    return f"{end.status:11} {end.name}  {end.seconds:.1f} s{f'  {end.message}' if end.message else ''}"


def _until(limit: float | None) -> str:
    return "" if limit is None else f", until {clock(limit)}"


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("opencv-python-headless", "pillow", "numpy"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
