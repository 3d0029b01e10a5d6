"""Plan jobs for the missing cells of tables: deduplicate trainings, order by dependency."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from repro.config.experiment import Job, Run, folder_name, source_names
from repro.config.identity import Sources, conflicts, majority, suffix
from repro.config.profiles import Profile
from repro.paper.schema import Score, Table
from repro.results.records import Record, RecordStore

ENDED = frozenset({"ok", "diverged"})
"""Statuses of a record after which its run is not done again."""
Place = tuple[int | str, str, str]
"""Table (its number, or the name of an additional one), row label, column label."""


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


def make_plan(
    tables: Iterable[Table],
    profile: Profile,
    seeds: Iterable[int],
    shelf: RecordStore,
    places: tuple[str, ...] = ("local",),
    wished: Sources | None = None,
) -> Plan:
    """Plan the runs of some tables: each experiment once, first stages first, done ones marked.

    See ``plan_runs`` for ``wished``.
    """
    return plan_runs(profile.name, score_cells(tables, profile), seeds, shelf, places, wished)


def plan_runs(
    profile: str,
    cells: Mapping[Place, Run | None],
    seeds: Iterable[int],
    shelf: RecordStore,
    places: tuple[str, ...] = ("local",),
    wished: Sources | None = None,
) -> Plan:
    """Plan the runs of resolved cells; all runs of a seed come before the next seed's.

    Args:
        profile: its name.
        cells: the run of each cell.
        seeds: of each run.
        shelf: all records.
        places: where a record counts as done.
        wished: the data and weights that the user has named. A record of others does not count, and a run whose
            folder name such a record has gets a name of its own. None: the sources of most records of the profile.
    """
    runs = {run.key: run for run in cells.values() if run is not None}
    names = _Names(profile, [record for record in shelf.records if record.place in places], wished)
    jobs: dict[str, Job] = {}
    for seed in seeds:
        for run in runs.values():
            for job in _chain(run, seed, names):
                jobs.setdefault(job.name, job)
    done: set[str] = set()
    for job in jobs.values():  # a job that builds on a training to be repeated is done again too
        if names.done(job.run, job.seed) and done.issuperset(job.after):
            done.add(job.name)
    return Plan(profile, dict(cells), tuple(jobs.values()), frozenset(done))


class _Names:
    """Which outcomes stand already, and the folder names of those that do not."""

    def __init__(self, profile: str, records: list[Record], wished: Sources | None) -> None:
        mine = (record.identity.sources for record in records if record.meta.get("profile") == profile)
        self.sources = majority(mine, wished)
        self.wished = wished
        self.standing: dict[tuple[str, int], str] = {}
        self.taken: set[str] = set()
        for record in records:
            self.taken.add(record.name)
            if record.status in ENDED and not conflicts(record.identity.sources, self.sources):
                self.standing.setdefault((record.key, record.seed), record.name)

    def done(self, run: Run, seed: int) -> bool:
        return (run.key, seed) in self.standing

    def of(self, run: Run, seed: int) -> str:
        """Return the name of the record that stands, else the one to be written."""
        name = folder_name(run, seed)
        if self.done(run, seed) or name not in self.taken or not self.wished:
            return self.standing.get((run.key, seed), name)
        mine = source_names(run)
        return f"{name}-{suffix({name: value for name, value in self.wished.items() if name in mine})}"


def _chain(run: Run, seed: int, names: _Names) -> Iterator[Job]:
    """Yield the jobs that must run before a run, then the run."""
    before: list[str] = []
    trained = run.trained()
    first = trained if trained != run else run.start
    if isinstance(first, Run):
        yield from _chain(first, seed, names)
        before.append(names.of(first, seed))
    name = names.of(run, seed)
    yield Job(run, seed, tuple(before), name if name != folder_name(run, seed) else "")


def fills(profile: Profile, table: Table) -> bool:
    """Tell whether a profile has data for every score cell of a table."""
    return all(profile.resolve(cell.training, cell.evaluation) is not None for cell in table.scores())
