"""The page of one profile from its records: every table laid beside the print, and what concerns no single one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from repro import audit, specs
from repro.compare import compare
from repro.counts import Counts
from repro.experiment import Run
from repro.measured import Evidence
from repro.profiles import PROFILES, Profile, get
from repro.records import Record, Shelf, load
from repro.remaining import remaining
from repro.render.page import Page
from repro.spec import Score, Submitted, Table
from repro.views import Remaining

FULL_SCALE = "paper"
"""The profile whose cost every page tells, run or not."""


def read(runs: Path, *, local: bool = False) -> Shelf:
    """Load the reference records, and the local ones where asked for."""
    roots = {"reference": runs / "reference", **({"local": runs / "local"} if local else {})}
    return load(roots)


def build(
    profile: Profile,
    shelf: Shelf,
    counts: Counts,
    select: Sequence[int] = (),
    places: tuple[str, ...] = ("reference",),
) -> Page:
    """Compare the selected tables (all by default) of one profile with its records; the page has no figures yet."""
    tables, evidence = specs.tables(), Evidence(shelf)
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
    profile: Profile, chosen: Sequence[Table], evidence: Evidence, places: tuple[str, ...]
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
    """Return the numbers of all tables: the paper's, and of the suite's own those that a profile has the data for."""
    return [number for number, table in specs.tables().items() if not table.own or profile.fills(table)]


def _known(profile: Profile) -> set[str]:
    """Return the keys of every run that a table or figure of this profile asks for, first stages too."""
    found: set[str] = set()
    for table in specs.tables().values():
        for cell in table.cells():
            if isinstance(cell, Score | Submitted):
                found |= _chain(profile.resolve(cell.training, cell.evaluation))
    for figure in specs.figures().values():
        for training in figure.trainings:
            found |= _chain(profile.resolve(training))
    return found


def _chain(run: object) -> set[str]:
    return {run.key, run.trained().key} | _chain(run.start) if isinstance(run, Run) else set()
