"""Spec in, jobs out: which cells are missing, which share a training, in which order they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from repro.experiment import Job, Run, folder_name
from repro.profiles import Profile
from repro.records import Shelf
from repro.spec import Score, Table

Place = tuple[int | str, str, str]
"""Table (its number, or the name of one of the suite's own), row label, column label."""


@dataclass(frozen=True)
class Plan:
    """Every score cell that was asked for, and the jobs that fill them, in an order that works."""

    profile: str
    cells: Mapping[Place, Run | None]
    """None: this profile has no data for the cell."""
    jobs: tuple[Job, ...]
    done: frozenset[str]
    """Names of the jobs that have a record already."""

    @cached_property
    def missing(self) -> tuple[Job, ...]:
        """The jobs that would run now."""
        return tuple(job for job in self.jobs if job.name not in self.done)

    @property
    def trainings(self) -> int:
        """Distinct trainings over all cells, seeds not counted."""
        return len({job.run.key for job in self.jobs if job.trains})

    def cells_of(self, run: Run) -> tuple[Place, ...]:
        """Return the cells that a run fills."""
        return tuple(self._filled.get(run.key, ()))

    @cached_property
    def _filled(self) -> Mapping[str, list[Place]]:
        """The cells of each run, by its key."""
        found: dict[str, list[Place]] = {}
        for place, run in self.cells.items():
            if run is not None:
                found.setdefault(run.key, []).append(place)
        return found


def score_cells(tables: Iterable[Table], profile: Profile) -> dict[Place, Run | None]:
    """Resolve every score cell of some tables in a profile."""
    return {
        (table.short, row.label, column): profile.resolve(cell.training, cell.evaluation)
        for table in tables
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        if isinstance(cell, Score)
    }


def plan(
    tables: Iterable[Table],
    profile: Profile,
    seeds: Iterable[int],
    shelf: Shelf,
    places: tuple[str, ...] = ("local",),
) -> Plan:
    """Plan the runs of some tables: each experiment once, first stages first, what has a record in a place marked."""
    return plan_runs(profile.name, score_cells(tables, profile), seeds, shelf, places)


def plan_runs(
    profile: str,
    cells: Mapping[Place, Run | None],
    seeds: Iterable[int],
    shelf: Shelf,
    places: tuple[str, ...] = ("local",),
) -> Plan:
    """Plan the runs of resolved cells; all runs of a seed come before the next seed's."""
    jobs: dict[str, Job] = {}
    runs = {run.key: run for run in cells.values() if run is not None}
    for seed in seeds:
        for run in runs.values():
            for job in _chain(run, seed):
                jobs.setdefault(job.name, job)
    recorded = {(r.key, r.seed) for r in shelf.records if r.place in places and r.status in {"ok", "diverged"}}
    done = frozenset(job.name for job in jobs.values() if (job.run.key, job.seed) in recorded)
    return Plan(profile, dict(cells), tuple(jobs.values()), done)


def _chain(run: Run, seed: int) -> Iterator[Job]:
    """Yield what must run before a run, then the run."""
    before: list[str] = []
    trained = run.trained()
    if trained != run:
        yield from _chain(trained, seed)
        before.append(folder_name(trained, seed))
    elif isinstance(run.start, Run):
        yield from _chain(run.start, seed)
        before.append(folder_name(run.start, seed))
    yield Job(run, seed, tuple(before))
