"""The report of one profile: every table compared with its records, and faults, audit, missing runs and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from repro.config.experiment import Run
from repro.config.profiles import PROFILES, Profile, get
from repro.figures import all_figures
from repro.paper import audit
from repro.paper.audit.finding import Audit
from repro.paper.schema import Score, Submitted, Table
from repro.paper.tables import all_tables
from repro.report.compare import compare
from repro.report.missing import remaining
from repro.report.table_view import Picture, Remaining, TableView
from repro.results.claims import ClaimView
from repro.results.counts import Counts
from repro.results.records import Record, RecordStore, load
from repro.results.scores import Scores
from repro.runner.plan import fills


@dataclass(frozen=True)
class Page:
    """Content of the index, the LaTeX document and the HTML page of one profile."""

    views: tuple[TableView, ...]
    faults: tuple[str, ...] = ()
    """Records that cannot be used at all, one sentence each."""
    others: tuple[str, ...] = ()
    """Records that no table shows, by name."""
    audit: Audit = field(default_factory=Audit)
    """The paper against itself."""
    lacks: tuple[Remaining, ...] = ()
    """Missing runs of this profile, then of others."""
    pictures: tuple[Picture, ...] = ()
    """Figures in their order."""

    @property
    def profile(self) -> str:
        """Name of the profile; empty without tables."""
        return self.views[0].profile if self.views else ""

    @property
    def about(self) -> str:
        """Description of the profile in a few words."""
        return self.views[0].about if self.views else ""

    @property
    def places(self) -> tuple[str, ...]:
        """Places whose records stand side by side."""
        return self.views[0].places if self.views else ()

    @property
    def claims(self) -> tuple[ClaimView, ...]:
        """Every claim, table by table."""
        return tuple(claim for view in self.views for claim in view.claims)

    @property
    def problems(self) -> tuple[str, ...]:
        """Faults of records, in tables or outside of them, each sentence once."""
        return tuple(dict.fromkeys((*self.faults, *(problem for view in self.views for problem in view.problems))))


FULL_SCALE = "paper"
"""Profile whose cost is in every report, run or not."""


def read(runs: Path, *, local: bool = False) -> RecordStore:
    """Load the reference records, and the local ones where asked for."""
    roots = {"reference": runs / "reference", **({"local": runs / "local"} if local else {})}
    return load(roots)


def build(
    profile: Profile,
    shelf: RecordStore,
    counts: Counts,
    select: Sequence[int] = (),
    places: tuple[str, ...] = ("reference",),
) -> Page:
    """Compare the selected tables (all by default) of one profile with its records; the page has no figures yet."""
    tables, evidence = all_tables(), Scores(shelf)
    views = tuple(compare(tables[n], profile, evidence, counts, tables, places) for n in select or _usual(profile))
    records = [record for found in evidence.keys().values() for record in found]
    mine = [record for record in records if record.meta.get("profile") == profile.name]
    strays = [record for record in records if str(record.meta.get("profile")) not in PROFILES]
    known = _known(profile) if mine or strays else set()
    others = tuple(sorted(record.name for record in mine if record.key not in known))
    faults = (*evidence.faults, *sorted(_stray(record) for record in strays if record.key not in known))
    lacks = _lacks(profile, [tables[view.number] for view in views], evidence, places)
    return Page(views, faults, others, audit.whole(counts.values), lacks)


def _lacks(
    profile: Profile, chosen: Sequence[Table], evidence: Scores, places: tuple[str, ...]
) -> tuple[Remaining, ...]:
    mine = remaining(chosen, profile, evidence, places)
    if profile.name == FULL_SCALE:
        return (mine,)
    full = [table for table in chosen if not table.own]
    return (mine, remaining(full, get(FULL_SCALE), evidence, places, seeds=1)) if full else (mine,)


def _stray(record: Record) -> str:
    profile = record.meta.get("profile")
    return f"{record.name} ({record.place}): profile {profile!r} is none of {', '.join(PROFILES)}, so no table shows it"


def _usual(profile: Profile) -> list[int]:
    """Return the numbers of all tables: the paper's, and the additional ones that a profile has data for."""
    return [number for number, table in all_tables().items() if not table.own or fills(profile, table)]


def _known(profile: Profile) -> set[str]:
    """Return the keys of every run that a table or figure of this profile asks for, first stages too."""
    found: set[str] = set()
    for table in all_tables().values():
        for cell in table.cells():
            if isinstance(cell, Score | Submitted):
                found |= _chain(profile.resolve(cell.training, cell.evaluation))
    for figure in all_figures().values():
        for training in figure.trainings:
            found |= _chain(profile.resolve(training))
    return found


def _chain(run: object) -> set[str]:
    return {run.key, run.trained().key} | _chain(run.start) if isinstance(run, Run) else set()
