"""`repro bundle`: archives for a short slot on a machine without network, made, run and merged."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from repro.cli import options
from repro.cli.options import FOLDER, PATH, Request, out
from repro.config.errors import BundleError, SpecError
from repro.config.experiment import Job, source_names
from repro.config.machine import Machine
from repro.formatting import many
from repro.results.records import RecordStore
from repro.runner.bundle import units
from repro.runner.bundle.make import make as write_bundle
from repro.runner.bundle.merge import merge as adopt
from repro.runner.bundle.priority import ordered
from repro.runner.plan import Plan
from repro.runner.sources import known_here


@click.group()
def bundle() -> None:
    """Carry runs to a machine without network and bring their records back."""


@bundle.command("make", short_help="write code, data, weights and the plan into one archive or several")
@options.request
@click.option("--only", default="", help="only runs whose name contains one of these, comma-separated")
@click.option("--missing", is_flag=True, help="leave out runs with a record in runs/local")
@options.data_root
@options.weights
@options.cache
@click.option("--out", "target", type=PATH, required=True, help="folder, or archive to write (.tar)")
@click.option("--part-size", default="", help="cut into parts of this size at most, such as 60M; each usable in turn")
@click.option("--priority", default="", help="networks that run first, such as base,gcn-k15, comma-separated")
def bundle_make(*, only: str, missing: bool, target: Path, part_size: str, priority: str, **words: Any) -> None:  # noqa: ANN401 - the fields of Request and Machine
    """Write the code at this commit, the data of the planned splits, the weights and the jobs by priority.

    TABLE is table2, 2, 1,3-5 or all. Every seed is a round: seed 0 of all networks, then seed 1.
    """
    request, place = options.make(Request, words), options.make(Machine, words)
    make_bundle(out, request, place, target, only=only, part_size=part_size, priority=priority, missing=missing)


@bundle.command("run", short_help="run a bundle by priority until a limit")
@click.argument("archives", nargs=-1, required=True, type=PATH, metavar="ARCHIVE...")
@click.option("--out", "target", type=FOLDER, required=True, help="folder that comes back: records, log, summary")
@click.option("--work", type=FOLDER, help="folder to unpack to and train in; by default one of the bundle's own")
@click.option("--time-limit", default="", help="stop after this time from the start, such as 90s, 9m or 1h30m")
@click.option("--jobs", type=options.POSITIVE, help="runs side by side, spread over the GPUs; by default one a GPU")
@options.device
@options.precision
@click.option("--bring", default="", help="networks whose weights come back as float16, such as gcn-k15-br (seed 0)")
@click.option("--file-size", default="16M", show_default=True, help="no file that comes back is larger")
def bundle_run(
    *,
    archives: tuple[Path, ...],
    target: Path,
    work: Path | None,
    time_limit: str,
    jobs: int | None,
    device: str,
    precision: str,
    bring: str,
    file_size: str,
) -> None:
    """Verify and unpack the parts of a bundle, run its jobs by priority, archive each record as it ends.

    The parts may come in several calls; unpacked files and finished runs stay in the folder of --work.
    """
    began = time.monotonic()
    from repro.runner.bundle import packages

    if lacking := packages.missing():
        raise BundleError(packages.sentence(lacking))
    from repro.runner.bundle import run as running
    from repro.runner.launchers import budget

    how = running.How(
        archives, target.absolute(), work and work.absolute(), jobs, device, precision,
        budget.read(time_limit) if time_limit else None,
        tuple(word.strip() for word in bring.split(",") if word.strip()),
        units.size(file_size, "--file-size"), began,
    )  # fmt: skip
    sys.exit(running.run(out, how))


@bundle.command("merge", short_help="adopt the records that came back, all or none")
@click.argument("archives", nargs=-1, required=True, type=PATH, metavar="ARCHIVE...")
@options.choice("--into", ("local", "reference"), "reference is for maintainers", "local")
@options.runs
def bundle_merge(*, archives: tuple[Path, ...], into: str, runs: Path) -> None:
    """Check the records that came back and adopt them beside those that are here; all of them, or none."""
    merge_bundles(out, archives, runs, into)


SHOWN = 20
"""Jobs that ``make`` names before it counts the rest."""


def make_bundle(
    out: Console,
    request: Request,
    place: Machine,
    target: Path,
    *,
    only: str,
    part_size: str,
    priority: str,
    missing: bool,
) -> None:
    """Write the bundle of a plan and print its content.

    Raises:
        SpecError, BundleError, DataError, WorkError: a run, data or weights cannot be carried.
    """
    shelf = request.shelf
    plan = request.plan(RecordStore(()))
    done = _done(request, shelf, place) if missing else frozenset[tuple[str, int]]()
    jobs = ordered(_wanted(plan, only, done), _words(priority))
    file = target if target.suffix == ".tar" and not target.is_dir() else target / f"bundle-{request.profile}.tar"
    made = write_bundle(jobs, place, shelf, file, units.size(part_size, "--part-size") if part_size else None)
    manifest = made.manifest
    for number, path in enumerate(made.archives, 1):
        tops = sorted({piece.path.split("/")[0] for piece in manifest.parts[number - 1]})
        out.print(f"{path}: {path.stat().st_size / 2**20:.2f} MiB, {', '.join(tops)}", soft_wrap=True, markup=False)
    for number, job in enumerate(jobs[:SHOWN], 1):
        out.print(f"{number:4}  {job.name}", soft_wrap=True, markup=False)
    if len(jobs) > SHOWN:
        out.print(f"      and {many(len(jobs) - SHOWN, 'run')} more", soft_wrap=True)
    out.print(
        f"bundle {manifest.identity[:12]} of commit {manifest.commit}: {many(len(jobs), 'run')}, "
        f"{', '.join(split.name for split in manifest.splits)}",
        soft_wrap=True,
    )
    if manifest.commit.endswith("+"):
        out.print("the working tree differs from its commit, and so will the records say (+)", style="yellow")


def _done(request: Request, shelf: RecordStore, place: Machine) -> frozenset[tuple[str, int]]:
    """Return key and seed of the jobs that have a record here of the data and weights that are carried."""
    runs = {run.key: run for run in request.plan(shelf).cells.values() if run is not None}
    wished = known_here({name for run in runs.values() for name in source_names(run)}, place)
    plan = request.plan(shelf, wished)
    return frozenset((job.run.key, job.seed) for job in plan.jobs if job.name in plan.done)


def _wanted(plan: Plan, only: str, done: frozenset[tuple[str, int]]) -> tuple[Job, ...]:
    """Return the jobs that are asked for, with those that they build on, whose weights are not there either.

    Raises:
        SpecError: a word that is in no run's name.
    """
    by_name = {job.name: job for job in plan.jobs}
    words = _words(only)
    todo = [name for name in by_name if not words or any(word in name for word in words)]
    if words and not todo:
        raise SpecError(f"--only {only}: no run of this plan has that in its name; repro plan lists them")
    todo = [name for name in todo if (by_name[name].run.key, by_name[name].seed) not in done]
    wanted: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo += by_name[name].after
    return tuple(job for job in plan.jobs if job.name in wanted)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def merge_bundles(out: Console, archives: Sequence[Path], runs: Path, into: str) -> None:
    """Adopt the records of a slot and print them beside those that are here.

    Raises:
        BundleError: a record cannot be trusted, or contradicts one that is here.
    """
    done = adopt(archives, runs, into)
    for path in done.unsummed:
        out.print(f"{path}: without checksums of its files", style="yellow", soft_wrap=True, markup=False)
    for path in done.adopted:
        out.print(f"adopted {path}", soft_wrap=True, markup=False)
    for path in done.weights:
        out.print(f"adopted {path}", soft_wrap=True, markup=False)
    for path in done.there:
        out.print(f"there already, with equal counts: {path}", soft_wrap=True, markup=False)
    for pair in done.comparisons:
        mine, theirs = pair.devices
        why = f" ({'; '.join(pair.differences)})" if pair.differences else ""
        out.print(
            f"{pair.name}: {pair.metric} {pair.mine:.2f} on {mine}, {pair.theirs:.2f} on {theirs} ({pair.place}), "
            f"{pair.mine - pair.theirs:+.2f}{why}",
            soft_wrap=True,
            markup=False,
        )
    out.print(f"{many(len(done.adopted), 'record')} adopted, {len(done.there)} there already", soft_wrap=True)
