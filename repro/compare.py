"""Lay what was measured beside what the paper prints: a table's spec and the records become a ``TableView``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from repro import paper, verdicts
from repro.claims import Desk, judge
from repro.counts import Counts
from repro.gains import with_gains, with_spans
from repro.keys import key
from repro.measured import Evidence
from repro.notes import notes
from repro.profiles import Profile
from repro.provenance import provenance, records_of
from repro.records import Shelf
from repro.spec import Cell, Cited, Cost, Layout, Row, Score, Submitted, Table
from repro.views import CellView, Kind, Outcome, RowView, TableView

KINDS: Mapping[type, Kind] = {Score: "score", Cost: "cost", Layout: "layout", Cited: "cited", Submitted: "submitted"}


def compare(
    table: Table,
    profile: Profile,
    shelf: Shelf | Evidence,
    counts: Counts,
    tables: Mapping[int, Table] | None = None,
    places: tuple[str, ...] = ("reference",),
) -> TableView:
    """Return everything that a rendered table shows.

    Args:
        table: the spec.
        profile: which data and networks stand for the paper's.
        shelf: records, or evidence over them that several tables share (it reads each record once).
        counts: stored parameters and multiply-adds.
        tables: every table, for claims that speak of cells elsewhere; this one alone by default.
        places: which records stand side by side.
    """
    evidence = shelf if isinstance(shelf, Evidence) else Evidence(shelf)
    desk = Desk(profile, evidence, counts.values, {table.number: table, **(tables or {})})
    rows = _rows(table, desk, places)
    cells = [cell for row in rows for cell in row.cells]
    scored = any(cell.kind == "score" for cell in cells)  # counts are the same however long a training is
    return TableView(
        number=table.number,
        title=f"{table.title} ({profile.variant})" if scored and profile.variant else table.title,
        cut=profile.steps if scored else None,
        corner=table.corner,
        columns=table.columns,
        rows=rows,
        claims=tuple(judge(claim, table.number, desk, place) for claim in table.claims for place in places),
        profile=profile.name,
        about=profile.about,
        places=places,
        where=paper.heading(table.number)["place"],
        provenance=tuple(p for place in places if (p := provenance(place, records_of(cells, place)))),
        counted=_counted(cells, counts),
        notes=tuple(notes(table, profile, cells, counts.values)),
        problems=tuple(dict.fromkeys(_problems(cells, counts))),
        own=table.own,
    )


def _rows(table: Table, desk: Desk, places: tuple[str, ...]) -> tuple[RowView, ...]:
    """Return the rows with what was measured, and the gains; in a table of the suite's own the intervals too."""
    rows = with_gains(tuple(_row(table, row, desk, places) for row in table.rows))
    return with_spans(rows, desk.evidence) if table.own else rows


def _row(table: Table, row: Row, desk: Desk, places: tuple[str, ...]) -> RowView:
    under = zip(table.columns, row.cells, strict=True)
    return RowView(row.label, tuple(_cell(table, row.label, column, cell, desk, places) for column, cell in under))


def _cell(table: Table, row: str, column: str, cell: Cell | None, desk: Desk, places: tuple[str, ...]) -> CellView:
    kind = KINDS.get(type(cell), "empty")
    view = CellView(row, column, kind, paper.printed(table.number, row, column))
    match cell:
        case Score():
            found = desk.run_key(cell)
            outcomes = tuple(_score(view, cell, found, desk, place) for place in places)
            return replace(view, outcomes=outcomes, key=found or "", metric=cell.metric)
        case Cost() | Layout():
            return replace(view, outcomes=(_count(view, cell, desk),), key=key(cell))
        case Submitted():
            return replace(view, outcomes=(_answered(view, cell, desk),), key=desk.run_key(cell) or "", metric="miou")
        case Cited():
            return replace(view, outcomes=(Outcome("paper", "cited"),))
        case None:
            return view


def _score(view: CellView, cell: Score, run_key: str | None, desk: Desk, place: str) -> Outcome:
    if run_key is None:
        return Outcome(place, "no data")
    found = desk.evidence.measure(run_key, place, cell.metric)
    outcome = Outcome(place, found.status, found.mean, measurement=found)
    if found.status != "measured" or view.printed is None or view.printed.value is None:
        return outcome
    if desk.profile.name != "paper":
        return replace(outcome, verdict="not comparable")
    verdict = verdicts.equivalence(found.values, view.printed.value)
    return replace(outcome, difference=found.mean - view.printed.value, verdict=verdict)


def _answered(view: CellView, cell: Submitted, desk: Desk) -> Outcome:
    """Return the test server's answer with its day, or that there is none yet."""
    answer = desk.answer(cell)
    if answer is None:
        return Outcome("server", "awaiting the test server")
    value = 100.0 * answer.miou
    outcome = Outcome("server", "answered", value, words=f"{value:.{_decimals(view)}f} ({answer.date})")
    if view.printed is None or view.printed.value is None or desk.profile.name != "paper":
        return replace(outcome, verdict="not comparable")
    verdict = verdicts.equivalence((value,), view.printed.value)
    return replace(outcome, difference=value - view.printed.value, verdict=verdict)


def _decimals(view: CellView) -> int:
    return view.printed.decimals if view.printed else 1


def _count(view: CellView, cell: Cost | Layout, desk: Desk) -> Outcome:
    ours = desk.counts.get(key(cell))
    if ours is None:
        return Outcome("computed", "not run")
    if isinstance(ours, str):
        verdict = verdicts.text(ours, view.printed.text) if view.printed else ""
        return Outcome("computed", "computed", words=ours, verdict=verdict)
    if view.printed is None or view.printed.value is None:
        return Outcome("computed", "computed", float(ours))
    verdict = verdicts.count(ours, view.printed.value, view.printed.step)
    return Outcome("computed", "computed", float(ours), difference=ours - view.printed.value, verdict=verdict)


def _counted(cells: list[CellView], counts: Counts) -> str:
    if not any(cell.kind == "cost" for cell in cells):
        return ""
    return counts.convention + (f" (torch {counts.torch})" if counts.torch else "")


def _problems(cells: list[CellView], counts: Counts) -> Iterable[str]:
    if counts.fault:
        yield counts.fault
    for cell in cells:
        for outcome in cell.outcomes:
            yield from outcome.measurement.faults if outcome.measurement else ()
