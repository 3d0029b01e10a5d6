"""`repro run`: run the missing jobs with a live display, then print the tables."""

from __future__ import annotations

import importlib.util
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from repro.cli import options
from repro.cli.options import Request, out
from repro.cli.plan import kind, processes
from repro.config import container
from repro.config.dataset_info import shortfall
from repro.config.errors import SpecError
from repro.config.experiment import Job, check_weights, source_names
from repro.config.identity import Sources
from repro.config.machine import (
    CHECKPOINT_SECONDS,
    NO_CUDA,
    Device,
    Layout,
    Machine,
    Width,
    cache_folder,
    gpu_memory,
    gpus,
    memory_share,
    torch_sees_cuda,
)
from repro.formatting import clock, many
from repro.report.terminal import show_tables
from repro.results import records
from repro.results.records import RecordStore
from repro.runner import budget as budget_module
from repro.runner.budget import Estimates
from repro.runner.launchers import Budget, Ended, Launcher, Local
from repro.runner.launchers import budget as limit
from repro.runner.leftovers import tidy_finished
from repro.runner.plan import ENDED, Plan
from repro.runner.progress import display
from repro.runner.sources import known_here, partial_here
from repro.training import process_group
from repro.training.signals import Stopped

MOST_THREADS = 1024


@click.command()
@options.request
@click.option("--only", default="", help="only runs whose name contains one of these, comma-separated")
@click.option(
    "--jobs", type=options.POSITIVE, help="processes side by side, each with its share of the cores and of the GPUs"
)
@click.option(
    "--threads",
    type=click.IntRange(1, MOST_THREADS),
    help="threads of torch in a process, part of a CPU's bits  [default: 1]",
)
@click.option("--time-limit", default="", help="such as 90s, 9m, 1h30m: stop there; begin no run that would not end")
@options.data_root
@options.weights
@options.cache
@options.device
@options.precision
@options.layout
@click.option("--compile", is_flag=True, help="train through torch.compile (its gain is not measured)")
@click.option("--graph/--no-graph", default=True, show_default=True, help="capture a step on a GPU as a CUDA graph")
@click.option(
    "--checkpoint-seconds",
    type=options.Number(min=0),
    default=CHECKPOINT_SECONDS,
    show_default=True,
    help="between two checkpoints; 0: every ten steps; inf: none",
)
@options.choice("--launcher", ("local", "ray"), "ray needs pip install gcn-repro[ray]", "local")
@click.option("--allow-partial", is_flag=True, help="run although splits hold fewer images than are published")
@click.option("--address", default="", help="host:port of the Ray cluster's head, or auto")
def run(**words: Any) -> None:  # noqa: ANN401 - the fields of Request and How
    """Train and evaluate the cells without a record, then print the tables.

    TABLE is table2, 2, 1,3-5 or all. Ctrl-C keeps finished runs; the same command goes on from there.
    """
    sys.exit(start(out, options.make(Request, words), options.make(How, words)))


SIGNALLED = 128
"""Exit code of a command that a signal ended, before the signal's number is added."""
LIMIT_SIGNAL = int(signal.SIGTERM)
"""The signal that stops the workers at the time limit; the exit code is that of SIGTERM."""


@dataclass(frozen=True)
class How:
    """Machine and launcher, as typed."""

    jobs: int | None
    data_root: Path | None
    weights: Path | None
    device: Device
    precision: Width
    only: str
    launcher: str = "local"
    address: str = ""
    compile: bool = False
    layout: Layout = "auto"
    allow_partial: bool = False
    """Whether splits may hold fewer images than are published."""
    threads: int | None = None
    time_limit: str = ""
    graph: bool = True
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    cache: Path = field(default_factory=cache_folder)


Arrange = Callable[[tuple[Job, ...]], Iterable[Job]]


def start(out: Console, request: Request, how: How, arrange: Arrange = tuple) -> int:
    """Run the missing jobs and print the tables; return the exit code.

    Args:
        out: where to print.
        request: tables, profile, seeds and folders.
        how: machine and launcher.
        arrange: puts the jobs in the order of their urgency; those that a job builds on are run before it in any case.

    Returns:
        0: all ran (a diverged run counts: it is a result); 1: a run failed or was stopped; 2: a mistake in the
        command; 128 and the signal's number: stopped (Ctrl-C: 130, the time limit: 143, as by SIGTERM).
    """
    members = process_group.read()
    out = out if members.leads else Console(quiet=True)
    place = _machine(request, how)
    shelf = request.shelf
    with out.status("comparing data and weights with the records"):
        wished = _wished(request, shelf, place)
    plan = request.plan(shelf, wished)
    jobs = tuple(arrange(_wanted(plan, how.only)))
    _refuse_other_wishes(how, _chosen(plan, how.only), shelf)
    if jobs:
        _check_packages()
    for job in jobs:
        check_weights(job.run, place.weights)
    budget = _budget(how, shelf, plan, jobs, place)
    launcher = _launcher(request, how, jobs, place, shelf, budget)
    _say_partial(out, how, jobs, place)
    for fault in shelf.passed_over:
        out.print(f"passed over: {fault}", style="yellow", soft_wrap=True, markup=False)
    try:
        ended = _run(out, request, plan, jobs, launcher, place) if jobs or members.size > 1 else []
    except Stopped as stopped:
        return SIGNALLED + stopped.number
    after = records.load({"reference": place.reference, "local": place.local})
    limited = [e for e in ended if budget and e.status in {"interrupted", "postponed"}]
    endings = {e.status for e in ended if e not in limited}
    if endings != {"error"}:  # nothing new: the mistake alone is said
        show_tables(out, request.selected, request.resolved, after, wished or _wished(request, after, place))
    _report(out, ended, limited)
    if endings & {"failed", "interrupted"}:
        return 1
    return 2 if "error" in endings else SIGNALLED + LIMIT_SIGNAL if limited else 0


def _budget(how: How, shelf: RecordStore, plan: Plan, jobs: tuple[Job, ...], place: Machine) -> Budget | None:
    """Return the time limit as typed; None for none.

    Raises:
        SpecError: a word that is no time, or a limit that the first run is not expected to keep.
    """
    if not how.time_limit:
        return None
    times = Estimates.read(shelf, kind(how.device))

    def operations(job: Job) -> float | None:
        found = budget_module.of(job.run)
        return found.flops if found else None

    budget = Budget(limit.read(how.time_limit), operations, lambda job: times.seconds(job.run), place.work)
    first = next((job for job in jobs if set(job.after) <= plan.done), None)
    if first is not None and not budget.fits(first):
        raise SpecError(
            f"--time-limit {how.time_limit}: {first.name}, the first run, is expected to take "
            f"{clock(budget.expected(first) or 0.0)} ({times.source}); give more time, choose shorter runs "
            "by --only, or leave the limit out: a run that is stopped goes on from its checkpoint"
        )
    return budget


def _check_packages() -> None:
    """Raise ``ModuleNotFoundError`` where the packages of a training are missing; every worker would fail by it."""
    for module in ("filelock", "lightning_fabric"):
        if module in sys.modules:
            found = sys.modules[module] is not None
        else:
            found = importlib.util.find_spec(module) is not None
        if not found:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def _wished(request: Request, shelf: RecordStore, place: Machine) -> Sources:
    """Return the fingerprints of the data and weights that are named now; empty where no record could differ."""
    runs = request.plan(shelf).cells.values()
    mine = any(r.place == "local" and r.meta.get("profile") == request.profile for r in shelf.records)
    return known_here({name for run in runs if run for name in source_names(run)}, place) if mine else {}


def _refuse_other_wishes(how: How, plan: tuple[Job, ...], shelf: RecordStore) -> None:
    """Raise ``SpecError`` where a run was done before, and with another device, precision or layout than asked for."""
    asked: dict[str, Any] = {}
    if how.precision != "auto":
        asked["precision"] = "32-true" if how.precision == "32" else "bf16-mixed"
    if how.layout != "auto":
        asked["layout"] = "channels_last" if how.layout == "channels_last" else "contiguous_format"
    if how.device != "auto":
        asked["device_type"] = how.device
    if how.compile:
        asked["compile"] = True
    if how.threads is not None:
        asked["threads"] = how.threads
    standing = {record.name: record for record in shelf.records if record.place == "local"}
    for job in plan:
        record = standing.get(job.name)
        have = record.identity.arithmetic if record and record.status in ENDED else {}
        for name, value in asked.items():
            if name == "threads" and not have.get(name):  # a GPU's bits do not hang on them
                continue
            if have.get(name, value) != value:
                option = {"device_type": "device"}.get(name, name)
                raise SpecError(
                    f"{job.name}: was done before with {option} {have[name]}, and {value} is asked for; leave "
                    f"--{option} out to use that record, or name another folder by --runs to have both"
                )


def _say_partial(out: Console, how: How, jobs: tuple[Job, ...], place: Machine) -> None:
    """Raise ``SpecError`` where a split holds fewer images than are published; say so where that is meant."""
    used = {
        f"{source.dataset}/{source.split}"
        for job in jobs
        for source in (*(job.run.train if job.trains else ()), job.run.test)
    }
    if not (missing := shortfall(partial_here(used, place))):
        return
    if not how.allow_partial:
        raise SpecError(
            f"{missing} that are published are in {place.data_root}; complete the data (repro data check), or add "
            "--allow-partial to run on what is there"
        )
    out.print(f"fewer images than published: {missing}; records and tables will say so", style="yellow", soft_wrap=True)


def _machine(request: Request, how: How) -> Machine:
    return Machine(
        runs=request.runs, cache=how.cache, data_root=how.data_root, weights=how.weights, stride_in=request.stride_in,
        threads=how.threads or request.resolved.threads, device=how.device, precision=how.precision,
        compile=how.compile, layout=how.layout, graph=how.graph, checkpoint_seconds=how.checkpoint_seconds,
    )  # fmt: skip


def _launcher(
    request: Request, how: How, jobs: tuple[Job, ...], place: Machine, shelf: RecordStore, budget: Budget | None
) -> Launcher:
    """Return the launcher of the jobs; raise ``SpecError`` for options that exclude each other or this machine."""
    members = process_group.read()
    if how.address and how.launcher != "ray":
        raise SpecError(f"--address {how.address}: only --launcher ray has an address; add it")
    if members.size > 1:
        from repro.runner.launchers.torchrun import Together, check

        if how.launcher == "ray" or how.jobs not in {None, 1}:
            raise SpecError("under torchrun or srun all processes share each run; leave --launcher and --jobs out")
        check(jobs, members)
        return Together(members, place, budget)
    here = gpus() if how.device != "cpu" else ()
    if how.launcher == "ray":
        from repro.runner.launchers.ray import Cluster

        return Cluster(how.address, place, jobs=how.jobs or 0, gpu=_on_gpu(how, here), budget=budget)
    if jobs and how.device == "cuda" and not here and not torch_sees_cuda():
        raise SpecError(NO_CUDA)
    if how.jobs is not None and (here or how.device == "cuda") and how.jobs > max(1, len(here)):
        _check_gpu_memory(how.jobs, max(1, len(here)), jobs, shelf)
    suits = processes(request.resolved, len(jobs), place.threads, len(here) or int(how.device == "cuda"))
    if how.jobs is None:
        return Local(suits.count, place, here, budget=budget, why=suits.why)
    why = "" if here or how.device == "cuda" else _crowded(how.jobs, request)
    return Local(how.jobs, place, here, budget=budget, why=why)


def _check_gpu_memory(count: int, devices: int, jobs: tuple[Job, ...], shelf: RecordStore) -> None:
    """Raise ``SpecError`` where records tell that a run needs more memory than its share of a GPU.

    Known are the runs, of any length, that a record of a GPU shows; the others are tried.
    """
    total = gpu_memory()
    if not total:
        return
    sharers = -(-count // devices)
    share = memory_share(total, sharers)
    peaks: dict[str, int] = {}
    for record in shelf.records:
        peak, slug = record.meta.get("peak_gpu_memory_bytes"), str(record.meta.get("slug"))
        if isinstance(peak, int) and record.device_type == "cuda":
            peaks[slug] = max(peak, peaks.get(slug, 0))
    most, name = max(((peaks.get(job.run.slug, 1), job.name) for job in jobs), default=(1, ""))
    if most > share:
        fewer = next((n for n in range(sharers - 1, 0, -1) if memory_share(total, n) >= most), 0) * devices
        remedy = f"use --jobs {fewer}" if fewer else "it needs a GPU with more memory"
        took = f"{name} took {most / 1e9:.1f} GB of GPU memory when it was recorded" if most > 1 else "a run needs some"
        raise SpecError(
            f"--jobs {count}: {took}, and each of {sharers} processes on a GPU of {total / 1e9:.1f} GB gets "
            f"{share / 1e9:.1f}; {remedy}"
        )


def _crowded(count: int, request: Request) -> str:
    """Return a caution where so many processes may take more memory than is left; the user's number stands."""
    left, each = container.memory(), request.resolved.memory
    if left is None or count * each <= left.available:
        return ""
    return f"{left.limit} {left.available / 1e9:.1f} GB, and a process may take {each / 1e9:.1f}"


def _on_gpu(how: How, here: tuple[str, ...]) -> bool:
    """Whether a job on the cluster asks for a GPU: as said, else as this machine has them."""
    return how.device == "cuda" or (how.device == "auto" and bool(here))


def _wanted(plan: Plan, only: str) -> tuple[Job, ...]:
    """Return the missing jobs, or those of them whose names match, with the jobs that they build on."""
    return tuple(job for job in _chosen(plan, only) if job.name not in plan.done)


def _chosen(plan: Plan, only: str) -> tuple[Job, ...]:
    """Return all jobs, or those whose names match with the jobs that they build on, done before or not."""
    if not only:
        return plan.jobs
    words = [word.strip() for word in only.split(",") if word.strip()]
    by_name = {job.name: job for job in plan.jobs}
    wanted = {name for name in by_name if any(word in name for word in words)}
    if not wanted:
        raise SpecError(f"--only {only}: no run of this plan has that in its name; repro plan lists them")
    todo = list(wanted)
    while todo:
        before = by_name[todo.pop()].after
        todo += [name for name in before if name not in wanted]
        wanted |= set(before)
    return tuple(job for job in plan.jobs if job.name in wanted)


def _run(
    out: Console, request: Request, plan: Plan, jobs: tuple[Job, ...], launcher: Launcher, place: Machine
) -> list[Ended]:
    _writable(place)
    tidy_finished(plan.done, place)
    cached = len(plan.jobs) - len(plan.missing)
    out.print(
        f"[bold]{request.profile}[/]: {many(len(jobs), 'run')} to do ({cached} done before), {escape(launcher.about)}",
        soft_wrap=True,
    )
    with display(out, len(jobs)) as watch:
        try:
            return launcher.run(jobs, plan.done, watch)
        except Stopped:
            out.print(
                "stopped: what was finished is kept, what was running goes on from its checkpoint next time",
                style="yellow",
            )
            raise


def _writable(place: Machine) -> None:
    """Raise ``SpecError`` where no record could be written, before anything is trained."""
    try:
        place.work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place.work):
            pass
    except OSError as error:
        raise SpecError(
            f"{place.work}: cannot be written ({error.strerror or error}); choose another --runs folder"
        ) from error


def _report(out: Console, ended: list[Ended], limited: list[Ended]) -> None:
    bad = [e for e in ended if e.status not in {"ok", "diverged"} and e not in limited]
    sentences: Mapping[str, Any] = {e.message: e for e in bad}
    for message, e in sentences.items():
        out.print(f"{e.status}: {message or e.name}", style="red", soft_wrap=True, markup=False)
    if limited:
        stopped = sum(e.status == "interrupted" for e in limited)
        out.print(
            f"time limit: {many(stopped, 'run')} stopped at a checkpoint, {len(limited) - stopped} not begun; "
            "the same command goes on from there",
            style="yellow",
            soft_wrap=True,
        )
    if ended:
        spent = clock(sum(e.seconds for e in ended))
        done = len(ended) - len(bad) - len(limited)
        out.print(
            f"{done} of {many(len(ended), 'run')} finished in {spent} of process time", style="dim", soft_wrap=True
        )
