"""`repro bundle make | merge`: the archive for a machine without network, and what came back from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from repro.bundle import units
from repro.bundle.make import make as write_bundle
from repro.bundle.manifest import BundleError
from repro.bundle.merge import merge as adopt
from repro.bundle.priority import ordered
from repro.commands.planning import Request
from repro.experiment import Job, source_names
from repro.machine import Machine, from_environment
from repro.measure import Plan
from repro.plural import many
from repro.records import Shelf
from repro.sources import known_here
from repro.spec import SpecError

PLACES = ("local", "reference")
SHOWN = 20
"""Jobs that ``make`` names before it counts the rest."""


def make(
    out: Console,
    request: Request,
    target: Path,
    *,
    only: str,
    data_root: Path | None,
    weights: Path | None,
    part_size: str,
    priority: str,
    missing: bool,
) -> None:
    """Write the bundle of a plan and say what is in it.

    Raises:
        SpecError, BundleError, DataError, WorkError: what was asked for cannot be carried.
    """
    data_root, weights = from_environment(data_root, weights)
    shelf = request.shelf
    place = Machine(runs=request.runs, data_root=data_root, weights=weights)
    plan = request.plan(Shelf(()))
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


def _done(request: Request, shelf: Shelf, place: Machine) -> frozenset[tuple[str, int]]:
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


def merge(out: Console, archives: Sequence[Path], runs: Path, into: str) -> None:
    """Adopt what came back and say how it stands beside what was here.

    Raises:
        BundleError: something that came cannot be trusted, or contradicts what stands here.
    """
    if into not in PLACES:
        raise BundleError(f"--into {into}: choose from {', '.join(PLACES)}")
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
