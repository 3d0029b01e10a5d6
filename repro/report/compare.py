"""Compare a table with its records: the spec, the reported numbers and the measurements become a ``TableView``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from repro.config.dataset_info import shortfall
from repro.config.experiment import Evaluation
from repro.config.hashing import key
from repro.config.identity import Identity, Sources, conflicts, shown
from repro.config.networks import PAPER_CHANNELS, Model, Stack
from repro.config.profiles import Profile
from repro.paper import printed as paper
from repro.paper.schema import Cell, Cited, Cost, Layout, Row, Score, Submitted, Table
from repro.report.table_view import CellView, Kind, Outcome, Provenance, RowView, Span, TableView
from repro.results import intervals, metrics, verdicts
from repro.results.claims import POINTS, ComparisonContext, judge
from repro.results.counts import Counts
from repro.results.records import Record, RecordStore
from repro.results.scores import Measurement, Scores, fingerprint

KINDS: Mapping[type, Kind] = {Score: "score", Cost: "cost", Layout: "layout", Cited: "cited", Submitted: "submitted"}


def compare(
    table: Table,
    profile: Profile,
    shelf: RecordStore | Scores,
    counts: Counts,
    tables: Mapping[int, Table] | None = None,
    places: tuple[str, ...] = ("reference",),
) -> TableView:
    """Return a table with its measurements, claims, notes and provenance.

    Args:
        table: the spec.
        profile: which data and networks stand for the paper's.
        shelf: records, or evidence over them that several tables share (it reads each record once).
        counts: stored parameters and multiply-adds.
        tables: every table, for claims that speak of cells elsewhere; this one alone by default.
        places: which records stand side by side.
    """
    evidence = shelf if isinstance(shelf, Scores) else Scores(shelf)
    context = ComparisonContext(profile, evidence, counts.values, {table.number: table, **(tables or {})})
    rows = _rows(table, context, places)
    cells = [cell for row in rows for cell in row.cells]
    scored = any(cell.kind == "score" for cell in cells)  # counts are the same however long a training is
    return TableView(
        number=table.number,
        title=f"{table.title} ({profile.variant})" if scored and profile.variant else table.title,
        cut=profile.steps if scored else None,
        corner=table.corner,
        columns=table.columns,
        rows=rows,
        claims=tuple(judge(claim, table.number, context, place) for claim in table.claims for place in places),
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


def _rows(table: Table, context: ComparisonContext, places: tuple[str, ...]) -> tuple[RowView, ...]:
    """Return the rows with measurements and gains; in an additional table with intervals too."""
    rows = with_gains(tuple(_row(table, row, context, places) for row in table.rows))
    return with_spans(rows, context.evidence) if table.own else rows


def _row(table: Table, row: Row, context: ComparisonContext, places: tuple[str, ...]) -> RowView:
    under = zip(table.columns, row.cells, strict=True)
    return RowView(row.label, tuple(_cell(table, row.label, column, cell, context, places) for column, cell in under))


def _cell(
    table: Table, row: str, column: str, cell: Cell | None, context: ComparisonContext, places: tuple[str, ...]
) -> CellView:
    kind = KINDS.get(type(cell), "empty")
    view = CellView(row, column, kind, paper.printed(table.number, row, column))
    match cell:
        case Score():
            found = context.run_key(cell)
            outcomes = tuple(_score(view, cell, found, context, place) for place in places)
            return replace(view, outcomes=outcomes, key=found or "", metric=cell.metric)
        case Cost() | Layout():
            return replace(view, outcomes=(_count(view, cell, context),), key=key(cell))
        case Submitted():
            return replace(
                view, outcomes=(_answered(view, cell, context),), key=context.run_key(cell) or "", metric="miou"
            )
        case Cited():
            return replace(view, outcomes=(Outcome("paper", "cited"),))
        case None:
            return view


def _score(view: CellView, cell: Score, run_key: str | None, context: ComparisonContext, place: str) -> Outcome:
    if run_key is None:
        return Outcome(place, "no data")
    found = context.evidence.measure(run_key, place, cell.metric)
    outcome = Outcome(place, found.status, found.mean, measurement=found)
    if found.status != "measured" or view.printed is None or view.printed.value is None:
        return outcome
    if not context.profile.comparable_with_paper:
        return replace(outcome, verdict="not comparable")
    verdict = verdicts.equivalence(found.values, view.printed.value)
    return replace(outcome, difference=found.mean - view.printed.value, verdict=verdict)


def _answered(view: CellView, cell: Submitted, context: ComparisonContext) -> Outcome:
    """Return the test server's answer with its date, or that there is none yet."""
    answer = context.answer(cell)
    if answer is None:
        return Outcome("server", "awaiting the test server")
    value = 100.0 * answer.miou
    outcome = Outcome("server", "answered", value, words=f"{value:.{_decimals(view)}f} ({answer.date})")
    if view.printed is None or view.printed.value is None or not context.profile.comparable_with_paper:
        return replace(outcome, verdict="not comparable")
    verdict = verdicts.equivalence((value,), view.printed.value)
    return replace(outcome, difference=value - view.printed.value, verdict=verdict)


def _decimals(view: CellView) -> int:
    return view.printed.decimals if view.printed else 1


def _count(view: CellView, cell: Cost | Layout, context: ComparisonContext) -> Outcome:
    ours = context.counts.get(key(cell))
    if ours is None:
        return Outcome("computed", "not run")
    verdict = view.printed.verdict(ours) if view.printed else ""
    if isinstance(ours, str):
        return Outcome("computed", "computed", words=ours, verdict=verdict)
    return Outcome("computed", "computed", float(ours), difference=ours - _printed(view), verdict=verdict)


def _counted(cells: list[CellView], counts: Counts) -> str:
    if not any(cell.kind == "cost" for cell in cells):
        return ""
    return counts.convention + (f" (torch {counts.torch})" if counts.torch else "")


def _problems(cells: list[CellView], counts: Counts) -> Iterable[str]:
    if counts.fault:
        yield counts.fault
    for _, _, found in _measured(cells):
        yield from found.faults


def _measured(cells: Iterable[CellView]) -> Iterator[tuple[CellView, str, Measurement]]:
    """Yield every measurement of some cells, with its place."""
    for cell in cells:
        for outcome in cell.outcomes:
            if outcome.measurement:
                yield cell, outcome.place, outcome.measurement


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


def with_spans(rows: tuple[RowView, ...], evidence: Scores) -> tuple[RowView, ...]:
    """Give every score and every gain its interval, for there is no reported number to compare with."""
    return tuple(
        RowView(row.label, tuple(_spanned(cell, _base(cell, row, rows), evidence) for cell in row.cells))
        for row in rows
    )


def _spanned(cell: CellView, base: CellView | None, evidence: Scores) -> CellView:
    starts = {outcome.place: outcome for outcome in base.outcomes} if base else {}
    return replace(cell, outcomes=tuple(_span(o, starts.get(o.place), cell.metric, evidence) for o in cell.outcomes))


def _span(outcome: Outcome, start: Outcome | None, metric: str, evidence: Scores) -> Outcome:
    if outcome.status != "measured":
        return outcome
    here = _draws(outcome, metric, evidence)
    outcome = replace(outcome, span=_possible(_ends(intervals.contrast([(POINTS, here)])), metric))
    if start is None or start.status != "measured":
        return outcome
    terms = [(POINTS, here), (-POINTS, _draws(start, metric, evidence))]
    return replace(outcome, gain_span=_ends(intervals.contrast(terms)))


def _draws(outcome: Outcome, metric: str, evidence: Scores) -> Mapping[int, intervals.Draws]:
    return evidence.draws_by_seed(outcome.measurement, metric) if outcome.measurement else {}


def _ends(found: intervals.Interval) -> Span | None:
    return (found.low, found.high) if math.isfinite(found.low) else None


def _possible(span: Span | None, metric: str) -> Span | None:
    """Clip an interval to possible scores: a share to 0..100, a loss to 0 and above."""
    most = POINTS if metrics.find(metric).unit == "%" else math.inf
    return span and (max(0.0, span[0]), min(most, span[1]))


def _printed(cell: CellView) -> float:
    return math.nan if cell.printed is None or cell.printed.value is None else cell.printed.value


RIMS = {"edge": "the void rim an edge", "filled": "the void rim filled first"}
MILLION = 1e6


def notes(table: Table, profile: Profile, cells: Iterable[CellView], counts: Mapping[str, int | str]) -> Iterator[str]:
    """Yield the notes of a table, a sentence each.

    Args:
        table: the spec.
        profile: which networks stand for the paper's.
        cells: the table's cells as measured.
        counts: stored counts, by key.
    """
    cells = tuple(cells)
    yield from _other_data(cells)
    yield from _other_arithmetic(cells)
    yield from _partial(cells)
    yield from _widths(table, profile)
    yield from _boundary(table, cells)
    yield from _readings(table, counts)


def _other_data(cells: Iterable[CellView]) -> Iterator[str]:
    """Name the scores that come from other data or start weights than the table's, and both fingerprints."""
    used: dict[str, Sources] = {}
    apart: dict[tuple[str, str], list[str]] = {}
    for _, place, found in _measured(cells):
        for sample in found.samples:
            used[place] = {**used.get(place, {}), **sample.record.identity.sources}
    for cell, place, found in _measured(cells):
        for sample in found.other_data:
            theirs, ours = sample.record.identity.sources, used.get(place, {})
            names = conflicts(theirs, ours)
            what = shown(theirs, names) + (f" instead of {shown(ours, names)}" if names else "")
            text = f"{_at(cell)} {sample.value:.1f} (seed {sample.seed})"
            apart.setdefault((place, what), []).append(text)
    for (place, what), scores in apart.items():
        yield f"other data ({place}), {what}: {'; '.join(scores)}; not pooled or compared with the rest"
    here, there = used.get("local", {}), used.get("reference", {})
    if names := conflicts(here, there):
        yield (
            f"local and reference are of different data ({shown(here, names)} local, {shown(there, names)} "
            "reference): their scores are not to be compared"
        )


def _other_arithmetic(cells: Iterable[CellView]) -> Iterator[str]:
    """Compare scores of one seed from two devices or precisions."""
    for cell, place, found in _measured(cells):
        used = {sample.seed: sample for sample in found.samples}
        for sample in found.other_arithmetic:
            if sample.seed in used:
                ours = used[sample.seed]
                yield (
                    f"{_at(cell)}, seed {sample.seed}, twice ({place}): {ours.value:.1f} by "
                    f"{_by(ours.record.identity)}, {sample.value:.1f} by {_by(sample.record.identity)}; "
                    "the first counts"
                )


def _partial(cells: Iterable[CellView]) -> Iterator[str]:
    """Name the splits that hold fewer images than are published, by place."""
    fewer: dict[str, dict[str, None]] = {}
    for _, place, found in _measured(cells):
        for sample in found.samples:
            if words := shortfall(sample.record.meta.get("partial")):
                fewer.setdefault(place, {})[words] = None
    for place, said in fewer.items():
        yield f"fewer images than published ({place}): {'; '.join(said)}"


def _at(cell: CellView) -> str:
    return f"{cell.row}, {cell.column}:"


def _by(identity: Identity) -> str:
    made = identity.arithmetic
    return f"{made.get('device_type')} in {made.get('precision')}"


def _widths(table: Table, profile: Profile) -> Iterator[str]:
    """State the m of a stack where the backbone is narrower than the paper's (Table 4)."""
    models = [score.training.model for score in table.scores()]
    heads = [model.head for model in models if isinstance(model, Model)]
    printed = sorted({head.m for head in heads if isinstance(head, Stack)}, reverse=True)
    last = profile.last_channels
    if len(printed) > 1 and last != PAPER_CHANNELS:
        here = ", ".join(str(max(1, round(last * m / PAPER_CHANNELS))) for m in printed)
        yield (
            f"m is printed for the {PAPER_CHANNELS} channels of res-5, which has {last} here: in the scores "
            f"m = {', '.join(map(str, printed))} stand for {here}; parameters are those of the paper's network"
        )


def _boundary(table: Table, cells: Iterable[CellView]) -> Iterator[str]:
    """State the definition of the boundary region and its share of the scored pixels, by place (Table 5)."""
    evaluations = [score.evaluation for score in table.scores() if _by_region(score.metric)]
    shares: dict[str, float] = {}
    for cell, place, found in _measured(cells):
        if _by_region(cell.metric) and found.samples and place not in shares:
            # A property of the labels alone: the same in every record.
            shares[place] = metrics.boundary_share(found.samples[0].record.counts()["distance"])
    if evaluations:
        share = "; ".join(f"{100 * share:.1f} % of the scored pixels ({place})" for place, share in shares.items())
        yield f"boundary: {_region(evaluations[0])}{f': {share}' if share else ''}"


def _by_region(metric: str) -> bool:
    return bool(metric) and metrics.find(metric).counts == "distance"


def _region(evaluation: Evaluation) -> str:
    name = "Euclidean" if evaluation.distance == "euclidean" else evaluation.distance
    return f"{name} distance of {metrics.WITHIN} pixels at most to another label, {RIMS[evaluation.rim]}"


def _readings(table: Table, counts: Mapping[str, int | str]) -> Iterator[str]:
    """Compare every interpretation of a reported count with the paper, and mark the default (Table 11)."""
    for reading in table.readings:
        ours, printed = counts.get(key(reading.cost)), paper.printed(table.number, reading.at.row, reading.at.column)
        if isinstance(ours, int) and printed is not None and printed.value is not None:
            off = (ours - printed.value) / MILLION
            yield (
                f"{reading.at.row}, {reading.at.column}, {reading.says}{' (taken here)' * reading.taken}: "
                f"{ours / MILLION:,.0f} beside {printed.text}, {off:+,.0f}"
            )


def records_of(cells: Iterable[CellView], place: str) -> tuple[Record, ...]:
    """Return the records of a place behind some cells, by name, each once."""
    named = {record.name: record for _, at, found in _measured(cells) if at == place for record in found.records}
    return tuple(named[name] for name in sorted(named))


def provenance(place: str, records: tuple[Record, ...]) -> Provenance | None:
    """Return where the numbers of some records come from; None for no records."""
    if not records:
        return None

    def every(name: str) -> tuple[str, ...]:
        return tuple(sorted({fingerprint(r.meta[name]) for r in records if r.meta.get(name) not in (None, "")}))

    data = {f"{name} {value[:12]}" for record in records for name, value in record.identity.sources.items()}
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
