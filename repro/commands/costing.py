"""What a plan's runs compute, and how many hours of a device that is: the lines that `repro plan` adds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table as Grid

from repro import compute
from repro.commands.scoring import submitted
from repro.compute import Speed
from repro.experiment import Job
from repro.measure import Plan, plan
from repro.plural import many
from repro.profiles import Profile
from repro.records import Shelf
from repro.spec import SpecError, Table

SHORT = "base"
"""The network that is trained soonest."""

PREFIXES = ("", "k", "M", "G", "T", "P", "E")
ROOMY = 100
"""Columns from which a run's name stays in one line."""

FLOAT32 = 4
"""Bytes of a stored parameter."""


def speed(
    tflops: float, shelf: Shelf, planned: Plan, kind: str = "cpu", launch_us: float | None = None
) -> Speed | None:
    """Return the given speed, else the one that this profile's records of this machine show, else None.

    Args:
        tflops: 10^12 operations a second that a device sustains; 0: not given.
        shelf: all records.
        planned: the runs whose trainings count.
        kind: of the device, ``cpu`` or ``cuda``; records of the other kind do not count.
        launch_us: microseconds of a launched operation; None: the assumed ones.

    Raises:
        SpecError: a speed that is no positive number, a launch that takes a negative or no finite time.
    """
    if not 0 <= tflops < math.inf:
        raise SpecError(f"--tflops {tflops:g}: give what a device sustains, in 10^12 operations a second, such as 150")
    if launch_us is not None and not 0 <= launch_us < math.inf:
        raise SpecError(f"--launch-us {launch_us:g}: give the microseconds of a launched operation, such as 10")
    given = () if launch_us is None else (launch_us, "as given")
    if tflops:
        return Speed(tflops, "as given", *given)
    found, count = compute.measured(shelf, (job.run for job in planned.jobs), kind)
    if given and not count:
        raise SpecError(f"--launch-us {launch_us:g}: give --tflops too; no training of this machine shows its speed")
    return Speed(found, f"measured here over {many(count, 'training')}", *given) if count else None


def show(out: Console, planned: Plan, tables: Iterable[Table], profile: Profile, pace: Speed | None) -> None:
    """Print data, parameters, multiply-adds and hours of every run, then the sums and what is submitted."""
    head = ("run", "data", "parameters", "multiply-adds", "FLOP", *(["hours"] if pace else []))
    grid = Grid(*head, box=None, padding=(0, 2, 0, 0))
    for i, column in enumerate(grid.columns):
        column.justify, column.overflow = ("right" if i > 1 else "left"), "fold"
        column.no_wrap = i > 1 or (i == 0 and out.width >= ROOMY)
    for job in planned.jobs:
        found = compute.of(job.run)
        data = " + ".join(map(compute.named, job.run.train)) if job.trains else compute.named(job.run.test)
        grid.add_row(job.name, data, *(_numbers(found, pace) if found else ()))
    hours = f"; hours at {pace.tflops:g} TFLOP/s, at least the launches'" if pace else ""
    out.print(
        f"\n[bold]what the runs compute[/] (multiply-adds: one training image; FLOP: training and evaluation{hours})",
        soft_wrap=True,
    )
    out.print(grid)
    for line in _sums(planned, pace):
        out.print(line, soft_wrap=True)
    out.print(stored(compute.storage(job.run for job in planned.jobs)), soft_wrap=True)
    for line in _submitted(tables, profile):
        out.print(line, soft_wrap=True)


def _numbers(found: compute.Compute, pace: Speed | None) -> list[str]:
    hours = [f"{found.hours(pace):,.2f}"] if pace else []
    return [metric(found.params), metric(found.macs), metric(found.flops), *hours]


def metric(number: float) -> str:
    """Return a number with one decimal and the prefix that suits it, such as ``58.7 M``."""
    size = min(max(0, int(math.log10(number) // 3)), len(PREFIXES) - 1) if number > 0 else 0
    return f"{number / 1000**size:,.1f} {PREFIXES[size]}".rstrip()


def _sums(planned: Plan, pace: Speed | None) -> Iterator[str]:
    found = [compute.of(job.run) for job in planned.missing]
    known = [one for one in found if one is not None]
    rest = f", {len(found) - len(known)} runs not counted" if len(known) < len(found) else ""
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


def stored(storage: compute.Storage) -> str:
    """Return in a sentence what some runs store."""
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
    every: list[tuple[Job, compute.Compute | None]] = []
    for table in tables:
        jobs = [job for job in plan([table], profile, (0,), Shelf(())).jobs if job.name not in seen]
        seen |= {job.name for job in jobs}
        found = [(job, compute.of(job.run)) for job in jobs]
        every += found
        if found:
            lines.append(_row(str(table.own or table.number), found, pace))
    lines.append(_row("all", every, pace))
    kept = stored(compute.storage(job.run for job, _ in every))
    return "\n".join([*lines, "", f"{kept[0].upper()}{kept[1:]}."])


def _row(name: str, found: Sequence[tuple[Job, compute.Compute | None]], pace: Speed) -> str:
    known = [one for _, one in found if one]
    flops = sum(one.flops for one in known)
    steps = sum(job.run.steps for job, _ in found if job.trains)
    trainings = sum(job.trains for job, _ in found)
    launches = sum(one.train_launches + one.test_launches for one in known)
    columns = (
        name, f"{len(found)}", f"{trainings}", f"{steps:,}", f"{flops / 1e18:,.2f}",
        f"{flops / (pace.tflops * compute.TERA) / compute.HOUR:,.1f}", f"{metric(launches)}",
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
                f"{compute.named(run.test)} with {source.slug}-{source.key}; key {run.key}"
            )


def weights_left(planned: Plan) -> int:
    """Return the bytes of weights that the missing trainings leave behind; those never counted are left out."""
    found = [compute.of(job.run) for job in planned.missing if job.trains]
    return sum(FLOAT32 * one.params for one in found if one is not None)


def tree(planned: Plan, pace: Speed | None) -> dict[str, dict[str, object]]:
    """Return the same by the name of the job, for JSON."""
    found: dict[str, dict[str, object]] = {}
    for job in planned.jobs:
        one = compute.of(job.run)
        found[job.name] = {
            "data": [compute.named(source) for source in job.run.train],
            "test": compute.named(job.run.test),
            "params": one.params if one else None,
            "macs_per_image": one.macs if one else None,
            "flops": one.flops if one else None,
            "launches": one.train_launches + one.test_launches if one else None,
            "device_hours": one.hours(pace) if one and pace else None,
        }
    return found
