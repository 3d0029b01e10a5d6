"""`repro plan`: the missing runs, the cells that each fills, operations, expected time."""

from __future__ import annotations

import json
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import click
from rich.console import Console
from rich.table import Table as Grid

from repro.cli import options
from repro.cli.options import FINITE, Request, make, out
from repro.config import container, profiles
from repro.config.dataset_info import shortfall
from repro.config.errors import SpecError
from repro.config.experiment import Job
from repro.config.machine import DEVICES, Device, cores, gpus
from repro.config.profiles import Profile
from repro.formatting import clock, many, metric
from repro.paper.schema import Table, submitted
from repro.results.records import RecordStore
from repro.runner import budget
from repro.runner.budget import Speed
from repro.runner.plan import Place, Plan, make_plan


@click.command()
@options.request
@options.as_json
@click.option("--tflops", type=FINITE, default=0.0, help="speed that a device sustains in training, such as 150")
@click.option("--launch-us", type=FINITE, help="microseconds of a launched operation  [default: 10, assumed]")
@options.choice("--device", DEVICES, "device whose times are expected")
def plan(*, as_json: bool, tflops: float, launch_us: float | None, device: Device, **words: Any) -> None:  # noqa: ANN401 - the fields of Request
    """Print the missing runs, the trainings that cells share, and the expected cost, before anything runs.

    TABLE is table2, 2, 1,3-5 or all.
    """
    show_plan(out, make(Request, words), as_json=as_json, tflops=tflops, launch_us=launch_us, device=device)


SHORT = "base"
"""The network whose training is shortest."""
ROOMY = 100
"""Columns of a terminal from which a run's name stays in one line."""
FLOAT32 = 4
"""Bytes of a stored parameter."""


def speed(
    tflops: float, shelf: RecordStore, planned: Plan, kind: str = "cpu", launch_us: float | None = None
) -> Speed | None:
    """Return the given speed, else the one that this profile's records of this machine show, else None.

    Args:
        tflops: 10^12 operations a second that a device sustains; 0: not given.
        shelf: all records.
        planned: the runs whose trainings count.
        kind: of the device, ``cpu`` or ``cuda``; records of the other kind do not count.
        launch_us: microseconds of a launched operation; None: the assumed ones.

    Raises:
        SpecError: a launch takes a given time and nothing tells the speed.
    """
    given = () if launch_us is None else (launch_us, "as given")
    if tflops:
        return Speed(tflops, "as given", *given)
    found, count = budget.measured(shelf, (job.run for job in planned.jobs), kind)
    if given and not count:
        raise SpecError(f"--launch-us {launch_us:g}: give --tflops too; no training of this machine shows its speed")
    return Speed(found, f"measured here over {many(count, 'training')}", *given) if count else None


def show_costs(out: Console, planned: Plan, tables: Iterable[Table], profile: Profile, pace: Speed | None) -> None:
    """Print data, parameters, multiply-adds and hours of every run, then the sums and the submitted cells."""
    head = ("run", "data", "parameters", "multiply-adds", "FLOP", *(["hours"] if pace else []))
    grid = Grid(*head, box=None, padding=(0, 2, 0, 0))
    for i, column in enumerate(grid.columns):
        column.justify, column.overflow = ("right" if i > 1 else "left"), "fold"
        column.no_wrap = i > 1 or (i == 0 and out.width >= ROOMY)
    for job in planned.jobs:
        found = budget.of(job.run)
        data = " + ".join(map(budget.named, job.run.train)) if job.trains else budget.named(job.run.test)
        grid.add_row(job.name, data, *(_numbers(found, pace) if found else ()))
    hours = f"; hours at {pace.tflops:g} TFLOP/s, at least the launches'" if pace else ""
    out.print(
        f"\n[bold]operations of the runs[/] (multiply-adds: one training image; FLOP: training and evaluation{hours})",
        soft_wrap=True,
    )
    out.print(grid)
    for line in _sums(planned, pace):
        out.print(line, soft_wrap=True)
    out.print(stored(budget.storage(job.run for job in planned.jobs)), soft_wrap=True)
    for line in _submitted(tables, profile):
        out.print(line, soft_wrap=True)


def _numbers(found: budget.Compute, pace: Speed | None) -> list[str]:
    hours = [f"{found.hours(pace):,.2f}"] if pace else []
    return [metric(found.params), metric(found.macs), metric(found.flops), *hours]


def _sums(planned: Plan, pace: Speed | None) -> Iterator[str]:
    found = [budget.of(job.run) for job in planned.missing]
    known = [one for one in found if one is not None]
    rest = f", {many(len(found) - len(known), 'run')} not counted" if len(known) < len(found) else ""
    total = sum(one.flops for one in known)
    text = f"to do: {metric(total)}FLOP{rest}"
    if pace:
        total_hours = sum(one.hours(pace) for one in known)
        yield f"{text}; {total_hours:,.1f} device-hours at {pace.tflops:g} TFLOP/s sustained ({pace.source})"
        launches = sum(one.train_launches + one.test_launches for one in known)
        yield (
            f"launched: {metric(launches)} operations, {sum(one.launch_hours(pace) for one in known):,.1f} h at "
            f"{pace.launch_us:g} microseconds each ({pace.launch_source}); a run takes the longer of both"
        )
    else:
        yield (
            f"{text}; hours follow from a device's sustained speed: --tflops N, or one training on it, which may be "
            f"cut short: repro run ... --profile {planned.profile} --only {SHORT} --steps 100"
        )


def stored(storage: budget.Storage) -> str:
    """Return the storage of some runs in a sentence."""
    rest = f" ({', '.join(storage.unknown)} not counted)" if storage.unknown else ""
    return (
        f"storage: weights {metric(storage.weights)}B; two checkpoints of the largest training "
        f"{metric(storage.checkpoints)}B; decoded data {metric(storage.decoded)}B at most{rest}"
    )


def page(profile: Profile, tables: Sequence[Table], pace: Speed) -> str:
    """Return the costs of a profile, table by table, in Markdown; a run is counted where it is first needed."""
    arithmetic, launches = f"hours at {pace.tflops:g} TFLOP/s", f"hours of launches at {pace.launch_us:g} µs"
    lines = [
        f"| table | runs | trainings | steps | EFLOP | {arithmetic} | launches | {launches} | hours |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    seen: set[str] = set()
    every: list[tuple[Job, budget.Compute | None]] = []
    for table in tables:
        jobs = [job for job in make_plan([table], profile, (0,), RecordStore(())).jobs if job.name not in seen]
        seen |= {job.name for job in jobs}
        found = [(job, budget.of(job.run)) for job in jobs]
        every += found
        if found:
            lines.append(_row(str(table.own or table.number), found, pace))
    lines.append(_row("all", every, pace))
    kept = stored(budget.storage(job.run for job, _ in every))
    return "\n".join([*lines, "", f"{kept[0].upper()}{kept[1:]}."])


def _row(name: str, found: Sequence[tuple[Job, budget.Compute | None]], pace: Speed) -> str:
    known = [one for _, one in found if one]
    flops = sum(one.flops for one in known)
    steps = sum(job.run.steps for job, _ in found if job.trains)
    trainings = sum(job.trains for job, _ in found)
    launches = sum(one.train_launches + one.test_launches for one in known)
    columns = (
        name, f"{len(found)}", f"{trainings}", f"{steps:,}", f"{flops / 1e18:,.2f}",
        f"{flops / (pace.tflops * budget.TERA) / budget.HOUR:,.1f}", f"{metric(launches)}",
        f"{sum(one.launch_hours(pace) for one in known):,.1f}", f"{sum(one.hours(pace) for one in known):,.1f}",
    )  # fmt: skip
    return f"| {' | '.join(columns)} |"


def _submitted(tables: Iterable[Table], profile: Profile) -> Iterator[str]:
    for table in tables:
        cell = submitted(table)
        run = profile.resolve(cell.training, cell.evaluation) if cell else None
        source = profile.resolve(cell.training) if cell else None
        if cell and run and source:
            yield (
                f"table{table.number}: repro submit table{table.number} --profile {profile.name} predicts "
                f"{budget.named(run.test)} with {source.slug}-{source.key}; key {run.key}"
            )


def weights_left(planned: Plan) -> int:
    """Return the bytes of weights that the missing trainings leave behind; those never counted are left out."""
    found = [budget.of(job.run) for job in planned.missing if job.trains]
    return sum(FLOAT32 * one.params for one in found if one is not None)


def tree(planned: Plan, pace: Speed | None) -> dict[str, dict[str, object]]:
    """Return the same by the name of the job, for JSON."""
    found: dict[str, dict[str, object]] = {}
    for job in planned.jobs:
        one = budget.of(job.run)
        found[job.name] = {
            "data": [budget.named(source) for source in job.run.train],
            "test": budget.named(job.run.test),
            "params": one.params if one else None,
            "macs_per_image": one.macs if one else None,
            "flops": one.flops if one else None,
            "launches": one.train_launches + one.test_launches if one else None,
            "device_hours": one.hours(pace) if one and pace else None,
        }
    return found


INDENT = "    "


@dataclass(frozen=True)
class Processes:
    """How many processes ``repro run`` starts, and the bound of their number; empty where that is the runs."""

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


def kind(device: Device) -> Literal["cpu", "cuda"]:
    """Return the kind of device that runs are done on here: as asked, else a GPU where there is one."""
    return "cuda" if device == "cuda" or (device == "auto" and gpus()) else "cpu"


def show_plan(
    out: Console,
    request: Request,
    *,
    as_json: bool,
    tflops: float = 0.0,
    launch_us: float | None = None,
    device: Device = "auto",
) -> None:
    """Print the plan: each run once, the cells that it fills, its length, its expected time, and its operations."""
    shelf = request.shelf
    planned = request.plan(shelf)
    here = kind(device)
    times = budget.Estimates.read(shelf, here)
    side = processes(request.resolved, len(planned.missing), gpus=max(1, len(gpus())) if here == "cuda" else 0)
    other = budget.Estimates.read(shelf, "cpu" if here == "cuda" else "cuda")
    pace = speed(tflops, shelf, planned, here, launch_us)
    if as_json:
        out.print_json(json.dumps(_tree(planned, times, other, tree(planned, pace), side)))
        return
    out.print(f"[bold]{request.profile}[/]: {request.resolved.about}", soft_wrap=True)
    for line, style in _lines(planned, times, out.width):
        out.print(line, style=style, soft_wrap=True, markup=False)
    _summary(out, planned, times, other, side)
    if request.resolved.plans_compute or tflops:
        show_costs(out, planned, request.selected, request.resolved, pace)
    elif planned.missing:
        out.print(
            f"stores: {weights_left(planned) / 1e6:,.0f} MB of weights below {request.runs / 'local'}",
            soft_wrap=True,
        )
    for record in shelf.records:
        if record.name in planned.done and (missing := shortfall(record.meta.get("partial"))):
            text = f"{record.name}: made with fewer images than published, {missing}"
            out.print(text, style="yellow", soft_wrap=True, markup=False)
    for fault in shelf.passed_over:
        out.print(f"passed over: {fault}", style="yellow", soft_wrap=True, markup=False)


def _lines(planned: Plan, times: budget.Estimates, width: int) -> Iterator[tuple[str, str]]:
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


def _expected(times: budget.Estimates, job: Job, planned: Plan) -> str:
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


def _summary(out: Console, planned: Plan, times: budget.Estimates, other: budget.Estimates, side: Processes) -> None:
    none = [place for place, run in planned.cells.items() if run is None]
    out.print(
        f"\n{many(len(planned.cells), 'score cell')}, {many(planned.trainings, 'training')}, "
        f"{many(len(planned.jobs), 'run')}; "
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


def _time(whole: budget.Whole, runs: int, source: str) -> str:
    """Return the sentence on how long it will take."""
    if whole.unknown == runs:
        return f"expected: unknown, no run like {'it' if runs == 1 else f'these {runs}'} has a record yet"
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
    times: budget.Estimates,
    other: budget.Estimates,
    costs: dict[str, dict[str, object]],
    side: Processes,
) -> dict[str, object]:
    return {
        "profile": planned.profile,
        "cells": len(planned.cells),
        "trainings": planned.trainings,
        "expected": asdict(times.whole(planned.missing, side.count)) | {"source": times.source, "bound": side.why},
        "stored_bytes": weights_left(planned),
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
