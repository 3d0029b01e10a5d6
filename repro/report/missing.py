"""Missing runs and their expected cost, from the times of records and from counted multiply-adds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from repro.config.profiles import Profile
from repro.paper.schema import Score, Table
from repro.report.table_view import Lack, Remaining
from repro.results.records import RecordStore
from repro.results.scores import Scores
from repro.runner import budget
from repro.runner.budget import Estimates
from repro.runner.plan import make_plan

SEEDS = 3
"""Seeds aimed at: one gives no verdict, and with two the intervals are several times as wide."""


def remaining(
    tables: Sequence[Table],
    profile: Profile,
    shelf: RecordStore | Scores,
    places: tuple[str, ...] = ("reference",),
    seeds: int = SEEDS,
) -> Remaining:
    """Return the runs that some tables of a profile lack in all of the ``places``, with their expected cost."""
    evidence = shelf if isinstance(shelf, Scores) else Scores(shelf)
    usable = RecordStore(tuple(record for found in evidence.keys().values() for record in found))
    by_kind = [Estimates.read(usable, kind) for kind in ("cpu", "cuda")]
    every = make_plan(tables, profile, range(seeds), usable, places).missing
    times = min(by_kind, key=lambda one: one.whole(every).unknown)  # of one kind of device: a sum of two means nothing
    filled = _filled(evidence, places)
    found = [_lack(table.name, (table,), profile, usable, places, seeds, times, filled) for table in tables]
    whole = _lack("all", tables, profile, usable, places, seeds, times, filled)
    return Remaining(profile.name, seeds, tuple(lack for lack in found if lack.cells), whole, times.source)


def _lack(
    name: str,
    tables: Sequence[Table],
    profile: Profile,
    shelf: RecordStore,
    places: tuple[str, ...],
    seeds: int,
    times: Estimates,
    filled: Callable[[str, str], bool],
) -> Lack:
    planned = make_plan(tables, profile, range(seeds), shelf, places)
    cells = [
        (run.key, cell.metric)
        for table in tables
        for row in table.rows
        for cell in row.cells
        if isinstance(cell, Score) and (run := profile.resolve(cell.training, cell.evaluation)) is not None
    ]
    computes = [budget.of(job.run) for job in planned.missing]
    known = [times.seconds(job.run) for job in planned.missing]
    return Lack(
        name=name,
        label=tables[0].title if len(tables) == 1 else "each run once",
        empty=sum(not filled(*cell) for cell in cells),
        cells=len(cells),
        runs=len(planned.missing),
        seconds=sum(seconds for seconds in known if seconds is not None),
        unknown=sum(seconds is None for seconds in known),
        flops=math.fsum(one.flops if one else math.nan for one in computes),
        device_seconds=math.fsum(budget.HOUR * one.hours(budget.USUAL) if one else math.nan for one in computes),
    )


def _filled(evidence: Scores, places: tuple[str, ...]) -> Callable[[str, str], bool]:
    """Return whether a run has a number in a metric, in any of the places."""
    return lambda key, metric: any(evidence.measure(key, place, metric).status == "measured" for place in places)
