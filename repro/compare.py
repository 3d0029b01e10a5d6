"""Lay what was measured beside what the paper prints: a table's spec and the records become a ``TableView``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from repro import paper, statistics, verdicts
from repro.claims import POINTS, Desk, judge
from repro.keys import key
from repro.measured import Evidence, fingerprint
from repro.notes import notes
from repro.profiles import Profile
from repro.records import Record, Shelf
from repro.spec import Cell, Cited, Cost, Layout, Score, Submitted, Table
from repro.views import CellView, Kind, Outcome, Provenance, RowView, Span, TableView

KINDS: Mapping[type, Kind] = {Score: "score", Cost: "cost", Layout: "layout", Cited: "cited", Submitted: "submitted"}


@dataclass(frozen=True)
class Counts:
    """Counts that ``repro cost`` stored, so that a report needs no torch: key of the cell -> integer or layout."""

    values: Mapping[str, int | str]
    torch: str = ""
    convention: str = "weights without biases; one multiply-add is one operation; convolutions only"
    fault: str = ""


STORED = Path(__file__).with_name("counts.json")
"""Every count and layout as read off the built modules; a test builds them anew and compares."""


def load_counts(path: Path = STORED) -> Counts:
    """Read stored counts; where the file is missing there are none, where it is damaged ``fault`` says so."""
    if not path.exists():
        return Counts({})
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        values = {str(name): value for name, value in tree["counts"].items() if isinstance(value, int | str)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Counts({}, fault=f"{path.name}: unreadable ({error}); write it again with: repro cost all --store")
    default = Counts({})
    return Counts(values, str(tree.get("torch", "")), str(tree.get("convention", default.convention)))


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
    rows = tuple(
        RowView(
            row.label, tuple(_cell(table, row.label, c, cell, desk, places) for c, cell in _under(table, row.cells))
        )
        for row in table.rows
    )
    rows = _with_gains(rows)
    if table.own:
        rows = _with_spans(rows, evidence)
    cells = [cell for row in rows for cell in row.cells]
    heading = paper.heading(table.number)
    return TableView(
        number=table.number,
        title=table.title,
        corner=table.corner,
        columns=table.columns,
        rows=rows,
        claims=tuple(judge(claim, table.number, desk, place) for claim in table.claims for place in places),
        profile=profile.name,
        about=profile.about,
        places=places,
        where=heading["place"],
        provenance=tuple(p for place in places if (p := provenance(place, records_of(cells, place)))),
        counted=_counted(cells, counts),
        notes=tuple(notes(table, profile, cells, counts.values)),
        problems=tuple(dict.fromkeys(_problems(cells, counts))),
        own=table.own,
    )


def _under(table: Table, cells: tuple[Cell | None, ...]) -> Iterable[tuple[str, Cell | None]]:
    return zip(table.columns, cells, strict=True)


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


def _with_gains(rows: tuple[RowView, ...]) -> tuple[RowView, ...]:
    """Give every score its distance from the first of its kind: along the row, or down a column of mixed rows."""
    return tuple(RowView(row.label, tuple(_gain(cell, _base(cell, row, rows)) for cell in row.cells)) for row in rows)


def _base(cell: CellView, row: RowView, rows: tuple[RowView, ...]) -> CellView | None:
    along = [c for c in row.cells if c.kind == "score" and c.metric == cell.metric]
    down = [c for r in rows for c in r.cells if c.column == cell.column and c.metric == cell.metric]
    line = along if len(along) > 1 else down
    return line[0] if cell.kind == "score" and len(line) > 1 and line[0] is not cell else None


def _gain(cell: CellView, base: CellView | None) -> CellView:
    if base is None:
        return cell
    starts = {outcome.place: outcome.value for outcome in base.outcomes}
    outcomes = tuple(replace(o, gain=o.value - starts.get(o.place, math.nan)) for o in cell.outcomes)
    return replace(cell, outcomes=outcomes, gain_printed=_printed(cell) - _printed(base))


def _with_spans(rows: tuple[RowView, ...], evidence: Evidence) -> tuple[RowView, ...]:
    """Give every score and every gain its interval: what stands in place of a printed number to compare with."""
    return tuple(
        RowView(row.label, tuple(_spanned(cell, _base(cell, row, rows), evidence) for cell in row.cells))
        for row in rows
    )


def _spanned(cell: CellView, base: CellView | None, evidence: Evidence) -> CellView:
    starts = {outcome.place: outcome for outcome in base.outcomes} if base else {}
    return replace(cell, outcomes=tuple(_span(o, starts.get(o.place), cell.metric, evidence) for o in cell.outcomes))


def _span(outcome: Outcome, start: Outcome | None, metric: str, evidence: Evidence) -> Outcome:
    if outcome.status != "measured":
        return outcome
    here = _draws(outcome, metric, evidence)
    outcome = replace(outcome, span=_possible(_ends(statistics.contrast([(POINTS, here)])), metric))
    if start is None or start.status != "measured":
        return outcome
    terms = [(POINTS, here), (-POINTS, _draws(start, metric, evidence))]
    return replace(outcome, gain_span=_ends(statistics.contrast(terms)))


def _draws(outcome: Outcome, metric: str, evidence: Evidence) -> Mapping[int, statistics.Draws]:
    samples = outcome.measurement.samples if outcome.measurement else ()
    return {sample.seed: evidence.draws(sample.record, metric) for sample in samples}


def _ends(found: statistics.Interval) -> Span | None:
    return (found.low, found.high) if math.isfinite(found.low) else None


def _possible(span: Span | None, metric: str) -> Span | None:
    """Return an interval without what no score can be: a share ends at 0 and at 100, a loss at 0."""
    most = math.inf if metric == "train_loss" else POINTS
    return span and (max(0.0, span[0]), min(most, span[1]))


def _printed(cell: CellView) -> float:
    return math.nan if cell.printed is None or cell.printed.value is None else cell.printed.value


def records_of(cells: Iterable[CellView], place: str) -> tuple[Record, ...]:
    """Return the records of a place behind some cells, by name, each once."""
    outcomes = (outcome for cell in cells for outcome in cell.outcomes if outcome.place == place)
    found = {record.name: record for o in outcomes if o.measurement for record in o.measurement.records}
    return tuple(found[name] for name in sorted(found))


def provenance(place: str, records: tuple[Record, ...]) -> Provenance | None:
    """Return where the numbers of some records come from; None for no records."""
    if not records:
        return None

    def every(name: str) -> tuple[str, ...]:
        return tuple(sorted({fingerprint(r.meta[name]) for r in records if r.meta.get(name) not in (None, "")}))

    data = {f"{k} {fingerprint(v)[:12]}" for r in records for k, v in _mapping(r.meta.get("data")).items()}
    return Provenance(
        place=place,
        recipes=every("recipe"),
        steps=tuple(sorted(every("steps"), key=lambda text: (len(text), text))),
        seeds=tuple(str(seed) for seed in sorted({record.seed for record in records})),
        data=tuple(sorted(data)),
        devices=every("device"),
        precision=every("precision"),
        commits=tuple(commit[:10] for commit in every("git_commit")),
        torch=every("torch"),
        runs=tuple(record.name for record in records),
    )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


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
