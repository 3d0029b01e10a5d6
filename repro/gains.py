"""How far scores lie from the first of their kind, and the intervals of scores and gains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from repro import statistics
from repro.claims import POINTS
from repro.measured import Evidence
from repro.views import CellView, Outcome, RowView, Span


def with_gains(rows: tuple[RowView, ...]) -> tuple[RowView, ...]:
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


def with_spans(rows: tuple[RowView, ...], evidence: Evidence) -> tuple[RowView, ...]:
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
