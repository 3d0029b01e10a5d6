"""`repro plan`: what would run, what each run fills, and what it will cost."""

from __future__ import annotations

import json
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from repro import container, estimate, profiles, records
from repro.commands import costing
from repro.devices import gpus
from repro.experiment import Job
from repro.identity import Sources
from repro.machine import DEVICES, Machine, cores
from repro.measure import Place, Plan, plan
from repro.plural import clock, many
from repro.published import shortfall
from repro.records import Shelf
from repro.select import seeds_from, select_tables
from repro.spec import SpecError, Table

INDENT = "    "


@dataclass(frozen=True)
class Request:
    """What the user asked for, as typed."""

    tables: tuple[str, ...]
    profile: str
    seeds: int
    steps: int | None
    """None: as long as the profile says."""
    recipe: str
    runs: Path
    stride_in: str | None = None
    """None: where the profile's networks have it."""

    @property
    def selected(self) -> list[Table]:
        """The tables; of all, the suite's own only where the profile has their data.

        Raises:
            SpecError: a word that names no table.
        """
        found = select_tables(list(self.tables))
        if "all" not in ",".join(self.tables).lower().split(","):
            return found
        return [table for table in found if not table.own or self.resolved.fills(table)]

    @property
    def resolved(self) -> profiles.Profile:
        """The profile with the asked-for length and recipe."""
        return profiles.get(self.profile, steps=self.steps, recipe=self.recipe, stride_in=self.stride_in)

    @property
    def shelf(self) -> Shelf:
        """All records, reference and local."""
        place = Machine(runs=self.runs)
        return records.load({"reference": place.reference, "local": place.local})

    def plan(self, shelf: Shelf, wished: Sources | None = None) -> Plan:
        """The plan of all of it; see ``measure.plan_runs`` for ``wished``."""
        return plan(self.selected, self.resolved, seeds_from(self.seeds), shelf, wished=wished)


@dataclass(frozen=True)
class Processes:
    """How many processes ``repro run`` starts, and what bounds their number; empty where only the runs do."""

    count: int
    why: str = ""


def processes(profile: profiles.Profile, jobs: int, threads: int = 0, gpus: int = 0) -> Processes:
    """Return how many processes suit this machine: one a GPU, else as many as its cores and its memory hold.

    Args:
        profile: whose runs are to be done; it knows the memory of one.
        jobs: number of runs.
        threads: of each process; 0: the profile's.
        gpus: number of GPUs here; 0: the runs are a CPU's.
    """
    if gpus:
        return Processes(max(1, min(gpus, jobs)))
    if not profile.memory:
        return Processes(1, "one process: the memory of a run was never measured on a CPU" if jobs > 1 else "")
    bounds = [(cores() // (threads or profile.threads), container.cores().about)]
    if left := container.memory():
        about = f"{left.limit} {left.available / 1e9:.1f} GB, a process takes up to {profile.memory / 1e9:.1f}"
        bounds.append((left.available // profile.memory, about))
    count, why = min(bounds, key=lambda bound: bound[0])
    return Processes(max(1, count), why) if count < jobs else Processes(max(1, jobs))


def kind(device: str) -> Literal["cpu", "cuda"]:
    """Return the kind of device that runs are done on here: as asked, else a GPU where there is one.

    Raises:
        SpecError: a word that is no device.
    """
    if device not in DEVICES:
        raise SpecError(f"--device {device}: choose from {', '.join(DEVICES)}")
    return "cuda" if device == "cuda" or (device == "auto" and gpus()) else "cpu"


def show(
    out: Console,
    request: Request,
    *,
    as_json: bool,
    tflops: float = 0.0,
    launch_us: float | None = None,
    device: str = "auto",
) -> None:
    """Print the plan: each run once, the cells that it fills, its length, its expected time, and what it computes."""
    shelf = request.shelf
    planned = request.plan(shelf)
    here = kind(device)
    times = estimate.Estimates.read(shelf, here)
    side = processes(request.resolved, len(planned.missing), gpus=max(1, len(gpus())) if here == "cuda" else 0)
    other = estimate.Estimates.read(shelf, "cpu" if here == "cuda" else "cuda")
    pace = costing.speed(tflops, shelf, planned, here, launch_us)
    if as_json:
        out.print_json(json.dumps(_tree(planned, times, other, costing.tree(planned, pace), side)))
        return
    out.print(f"[bold]{request.profile}[/]: {request.resolved.about}", soft_wrap=True)
    for line, style in _lines(planned, times, out.width):
        out.print(line, style=style, soft_wrap=True, markup=False)
    _summary(out, planned, times, other, side)
    if request.profile == "paper" or tflops:
        costing.show(out, planned, request.selected, request.resolved, pace)
    elif planned.missing:
        out.print(
            f"stores: {costing.weights_left(planned) / 1e6:,.0f} MB of weights below {request.runs / 'local'}",
            soft_wrap=True,
        )
    for record in shelf.records:
        if record.name in planned.done and (missing := shortfall(record.meta.get("partial"))):
            text = f"{record.name}: made with fewer images than published, {missing}"
            out.print(text, style="yellow", soft_wrap=True, markup=False)
    for fault in shelf.passed_over:
        out.print(f"passed over: {fault}", style="yellow", soft_wrap=True, markup=False)


def _lines(planned: Plan, times: estimate.Estimates, width: int) -> Iterator[tuple[str, str]]:
    """Yield each run as a row with the cells that it fills, which stand below it where one row has no room for them.

    Names are never cut, since other commands take them. The second of each pair is the style.
    """
    rows = [("run", "starts from", "steps", "expected")]
    rows += [(job.name, _start(job), _steps(job), _expected(times, job, planned)) for job in planned.jobs]
    name, start, steps, expected = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = [f"{a:{name}}  {b:{start}}  {c:>{steps}}  {d:>{expected}}" for a, b, c, d in rows]
    fills = [
        _places(planned.cells_of(job.run)) or "no cell of its own; other runs start from it" for job in planned.jobs
    ]
    beside = all(len(lines[0]) + 2 + len(text) <= width for text in fills)
    yield lines[0] + "  fills" * beside, "bold"
    for line, text in zip(lines[1:], fills, strict=True):
        if beside:
            yield f"{line}  {text}", ""
        else:
            yield line, ""
            yield textwrap.fill(text, width, initial_indent=INDENT, subsequent_indent=INDENT), "dim"


def _expected(times: estimate.Estimates, job: Job, planned: Plan) -> str:
    if job.name in planned.done:
        return "done"
    seconds = times.seconds(job.run)
    return "unknown" if seconds is None else clock(seconds)


def _steps(job: Job) -> str:
    """Return the steps that a run trains; an evaluation of another's weights trains none."""
    return f"{job.run.steps:,}" if job.trains else "none"


def _start(job: Job) -> str:
    """Return key and seed of the run that a run goes on from, by which its own row is found, or its weights."""
    return "-".join(job.after[0].split("-")[-2:]) if job.after else str(getattr(job.run.start, "weights", ""))


def _summary(
    out: Console, planned: Plan, times: estimate.Estimates, other: estimate.Estimates, side: Processes
) -> None:
    none = [place for place, run in planned.cells.items() if run is None]
    out.print(
        f"\n{len(planned.cells)} score cells, {planned.trainings} trainings, {len(planned.jobs)} runs; "
        f"{len(planned.missing)} to do",
        soft_wrap=True,
    )
    if planned.missing:
        whole = times.whole(planned.missing, side.count)
        out.print(_time(whole, len(planned.missing), times.source), soft_wrap=True)
        if side.why:
            out.print(f"{side.count} at a time here: {side.why}", soft_wrap=True)
        unknown = [job for job in planned.missing if times.seconds(job.run) is None]
        elsewhere = other.whole(unknown)
        if elsewhere.unknown < len(unknown):
            count = len(unknown) - elsewhere.unknown
            out.print(
                f"elsewhere: {clock(elsewhere.total)} for {many(count, 'run')} of unknown length here ({other.source})",
                soft_wrap=True,
            )
    if none:
        out.print(f"no data in this profile for: {_places(tuple(none))}", style="dim", soft_wrap=True)


def _time(whole: estimate.Whole, runs: int, source: str) -> str:
    """Return the sentence on how long it will take."""
    if whole.unknown == runs:
        return f"expected: unknown, no run like these {runs} has a record yet"
    rest = f", and {many(whole.unknown, 'run')} of unknown length" if whole.unknown else ""
    side = f", {clock(whole.wall)} in the {whole.processes} that repro run starts here" if whole.processes > 1 else ""
    return f"expected: {clock(whole.total)} of one process{side}{rest} ({source})"


def _places(places: tuple[Place, ...]) -> str:
    """Return cells by their tables, row and column: ``T1 Score/15; T5 GCN/Internal (acc.), GCN/Overall (IoU)``."""
    by_table: dict[int | str, list[str]] = defaultdict(list)
    for table, row, column in places:
        by_table[table].append(f"{row}/{column}")
    return "; ".join(
        f"{f'T{table}' if isinstance(table, int) else table} {', '.join(cells)}" for table, cells in by_table.items()
    )


def _tree(
    planned: Plan,
    times: estimate.Estimates,
    other: estimate.Estimates,
    costs: dict[str, dict[str, object]],
    side: Processes,
) -> dict[str, object]:
    return {
        "profile": planned.profile,
        "cells": len(planned.cells),
        "trainings": planned.trainings,
        "expected": asdict(times.whole(planned.missing, side.count)) | {"source": times.source, "bound": side.why},
        "stored_bytes": costing.weights_left(planned),
        "without_data": [list(place) for place, run in planned.cells.items() if run is None],
        "jobs": [
            {
                "name": job.name,
                "key": job.run.key,
                "seed": job.seed,
                "trains": job.trains,
                "after": list(job.after),
                "steps": job.run.steps,
                "fills": [list(place) for place in planned.cells_of(job.run)],
                "expected_seconds": times.seconds(job.run),
                "expected_seconds_elsewhere": other.seconds(job.run),
                "done": job.name in planned.done,
                **costs[job.name],
            }
            for job in planned.jobs
        ],
    }
