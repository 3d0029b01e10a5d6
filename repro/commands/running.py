"""`repro run`: do what is missing, show it as it goes, then the tables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from repro import records
from repro.commands.planning import Request
from repro.commands.showing import show_tables
from repro.experiment import Job
from repro.launch import Ended, Local
from repro.machine import Machine, from_environment
from repro.measure import Plan
from repro.progress import clock, display
from repro.spec import SpecError

DEVICES, PRECISIONS = ("auto", "cpu", "cuda"), ("auto", "32", "bf16")
INTERRUPTED = 130


@dataclass(frozen=True)
class How:
    """Where and with what to run, as typed."""

    jobs: int | None
    data_root: Path | None
    weights: Path | None
    device: str
    precision: str
    only: str


def start(out: Console, request: Request, how: How) -> int:
    """Run what is missing and show the tables; return the exit code.

    Returns:
        0: all ran (a diverged run counts: it is a result); 1: an unforeseen fault; 2: a mistake in what was asked;
        130: interrupted.
    """
    place = _machine(request, how)
    shelf = request.shelf
    plan = request.plan(shelf)
    jobs = _wanted(plan, how.only)
    for fault in shelf.passed_over:
        out.print(f"passed over: {fault}", style="yellow", soft_wrap=True)
    ended = _run(out, request, plan, jobs, how, place) if jobs else []
    if ended is None:
        return INTERRUPTED
    after = records.load({"reference": place.reference, "local": place.local})
    show_tables(out, request.selected, request.resolved, after)
    _complain(out, ended)
    return 1 if any(e.status == "failed" for e in ended) else 2 if any(e.status == "error" for e in ended) else 0


def _machine(request: Request, how: How) -> Machine:
    for name, value, known in (("device", how.device, DEVICES), ("precision", how.precision, PRECISIONS)):
        if value not in known:
            raise SpecError(f"--{name} {value}: choose from {', '.join(known)}")
    if how.jobs is not None and how.jobs < 1:
        raise SpecError(f"--jobs {how.jobs}: at least one process is needed")
    data_root, weights = from_environment(how.data_root, how.weights)
    return Machine(
        runs=request.runs, data_root=data_root, weights=weights,
        device=how.device, precision=how.precision,  # type: ignore[arg-type]
    )  # fmt: skip


def _wanted(plan: Plan, only: str) -> tuple[Job, ...]:
    """Return the missing jobs, or those of them whose names match, with what they build on."""
    if not only:
        return plan.missing
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
    return tuple(job for job in plan.missing if job.name in wanted)


def _processes(request: Request, how: How, jobs: tuple[Job, ...]) -> int:
    """Small networks scale badly over threads: one process a core; large ones take all cores each."""
    if how.jobs is not None:
        return how.jobs
    return max(1, min(os.cpu_count() or 1, len(jobs))) if request.profile == "shapes" else 1


def _run(
    out: Console, request: Request, plan: Plan, jobs: tuple[Job, ...], how: How, place: Machine
) -> list[Ended] | None:
    count = _processes(request, how, jobs)
    cached = len(plan.jobs) - len(plan.missing)
    out.print(
        f"[bold]{request.profile}[/]: {len(jobs)} runs to do ({cached} done before), {count} at a time",
        soft_wrap=True,
    )
    with display(out, len(jobs)) as watch:
        try:
            return Local(count, place).run(jobs, plan.done, watch)
        except KeyboardInterrupt:
            pass
    out.print(
        "stopped: what was finished is kept, what was running goes on from its checkpoint next time", style="yellow"
    )
    return None


def _complain(out: Console, ended: list[Ended]) -> None:
    bad = [e for e in ended if e.status not in {"ok", "diverged"}]
    sentences: Mapping[str, Any] = {e.message: e for e in bad}
    for message, e in sentences.items():
        out.print(f"{e.status}: {message or e.name}", style="red", soft_wrap=True)
    if ended:
        spent = clock(sum(e.seconds for e in ended))
        done = len(ended) - len(bad)
        out.print(f"{done} of {len(ended)} runs finished in {spent} of process time", style="dim", soft_wrap=True)
