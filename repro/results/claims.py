"""Decide claims: a comparison is a weighted sum of cells with an interval, a claim gets one of four verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from repro.config.hashing import key
from repro.config.profiles import Profile
from repro.formatting import many
from repro.paper import printed as paper
from repro.paper.schema import (
    Cell,
    Cited,
    Claim,
    Contrast,
    Cost,
    Layout,
    Ref,
    Score,
    Submitted,
    Table,
    table_label,
    table_name,
)
from repro.results import intervals, server_scores
from repro.results.scores import Measurement, Scores
from repro.results.server_scores import Answer


@dataclass(frozen=True)
class Effect:
    """One comparison of a claim, in points or counts, with its interval.

    ``low``..``high`` is the 95 % interval of this comparison alone, ``low_all``..``high_all`` is widened for the
    number of comparisons in the claim (Bonferroni). Both are nan where there is no interval.
    """

    text: str
    estimate: float
    low: float = math.nan
    high: float = math.nan
    low_all: float = math.nan
    high_all: float = math.nan
    bounds: str = "> 0"
    exact: bool = False
    seeds: int = 0
    images: int = 0
    note: str = ""
    missing: tuple[str, ...] = ()
    state: str = "open"
    """``true``, ``false`` or ``open``: the result of this comparison alone."""
    slack: float = math.nan
    """Distance of the interval from the bounds, in its own widths (exact sums: in units); negative outside."""


@dataclass(frozen=True)
class ClaimView:
    """A sentence of the paper and its verdict from the records of one place."""

    table: int
    name: str
    says: str
    where: str
    place: str
    verdict: str
    effects: tuple[Effect, ...]
    note: str = ""
    refuted_in_print: str = ""
    own: str = ""
    """Name of the table where it is an additional one."""
    quote: str = ""
    """The paper's words; empty where the claim is taken from a table."""

    @property
    def table_name(self) -> str:
        """The table's name, by which its files and headings are found."""
        return table_name(self.table, self.own)

    @property
    def table_label(self) -> str:
        """The table's name as a heading shows it."""
        return table_label(self.table, self.own)

    @property
    def deciding(self) -> Effect | None:
        """The comparison that decides: the first that fails, else the one nearest to its bound."""
        usable = [effect for effect in self.effects if not effect.missing]
        failing = [effect for effect in usable if effect.state == "false"]
        return min(failing or usable, key=_effect_slack, default=None)


def _effect_slack(effect: Effect) -> float:
    return math.inf if math.isnan(effect.slack) else effect.slack


def labelled(ref: Ref, table: int, tables: Mapping[int, Table]) -> str:
    """Return a cell in words: its row and column, and its table where that is not ``table``."""
    return _label(_said(ref, table, tables), table)


def comparison(contrast: Contrast, table: int, tables: Mapping[int, Table]) -> str:
    """Return a comparison of ``table`` in words, without the labels that all of its cells share."""
    weights = [weight for weight, _ in contrast.terms]
    refs = [_said(ref, table, tables) for _, ref in contrast.terms]
    if gains := _gains(weights, refs, table):
        return gains
    if any(ref.table not in (0, table) for ref in refs):
        names = [_label(ref, table) for ref in refs]
    elif len({ref.row for ref in refs}) == 1:
        names = [ref.column for ref in refs]
    elif len({ref.column for ref in refs}) == 1:
        names = [ref.row for ref in refs]
    else:
        names = [_label(ref, table) for ref in refs]
    shared = {ref.column for ref in refs} if len({ref.row for ref in refs}) > 1 else {ref.row for ref in refs}
    parts = [_signed(weight, name) for weight, name in zip(weights, names, strict=True)]
    text = " ".join(parts).removeprefix("+ ")
    return f"{text} ({shared.pop()})" if len(shared) == 1 and names != [_label(ref, table) for ref in refs] else text


def _gains(weights: Sequence[float], refs: Sequence[Ref], table: int) -> str:
    """Return a difference of two gains, each with the label that its two cells share; empty for other sums."""
    if list(weights) != [1.0, -1.0, -1.0, 1.0]:
        return ""
    pairs = [(refs[0], refs[1]), (refs[2], refs[3])]
    parts = []
    for after, before in pairs:
        if any(ref.table not in (0, table) for ref in (after, before)):
            return ""
        if after.row == before.row:
            parts.append(f"({after.column} − {before.column}) of {after.row}")  # noqa: RUF001 - a minus sign
        elif after.column == before.column:
            parts.append(f"({after.row} − {before.row}) of {after.column}")  # noqa: RUF001 - a minus sign
    return " − ".join(parts) if len(parts) == len(pairs) else ""  # noqa: RUF001 - a minus sign


def _signed(weight: float, name: str) -> str:
    size = "" if abs(weight) == 1 else f"{abs(weight):.3g} x "
    return f"{'+' if weight > 0 else '−'} {size}{name}"  # noqa: RUF001 - a minus sign


def bounds(contrast: Contrast) -> str:
    """Return the bounds of a comparison, such as ``> 5.45``."""
    above = "" if contrast.above is None else f"> {contrast.above:g}"
    below = "" if contrast.below is None else f"< {contrast.below:g}"
    return " and ".join(part for part in (above, below) if part).replace("-", "−")  # noqa: RUF001 - a minus sign


def _said(ref: Ref, table: int, tables: Mapping[int, Table]) -> Ref:
    """Return a cell with a numeric column named by the table's corner, such as ``k=15``."""
    held = tables.get(ref.table or table)
    letter = held.corner.partition(" ")[0] if held else ""
    return replace(ref, column=f"{letter}={ref.column}") if len(letter) == 1 and ref.column.isdigit() else ref


def _label(ref: Ref, table: int) -> str:
    name = f"{ref.row}, {ref.column}"
    return f"Table {ref.table}: {name}" if ref.table not in (0, table) else name


POINTS = 100.0
NAMED = 3
"""Missing cells that a note lists; further ones are counted."""


@dataclass(frozen=True)
class ComparisonContext:
    """The context of a comparison: a profile, the records, stored counts, every table."""

    profile: Profile
    evidence: Scores
    counts: Mapping[str, int | str]
    tables: Mapping[int, Table]
    _keys: dict[Score | Submitted, str | None] = field(init=False, repr=False, compare=False, default_factory=dict)

    def run_key(self, cell: Score | Submitted) -> str | None:
        """Return the key of the run that fills a cell; None where the profile has no data for it."""
        if cell not in self._keys:
            run = self.profile.resolve(cell.training, cell.evaluation)
            self._keys[cell] = None if run is None else run.key
        return self._keys[cell]

    def answer(self, cell: Submitted) -> Answer | None:
        """Return the latest answer of the test server for a cell, or None."""
        run_key = self.run_key(cell)
        return None if run_key is None else server_scores.latest(self.evidence.shelf.answers, run_key)

    def cell(self, ref: Ref, table: int) -> Cell | None:
        """Return the cell that a claim of ``table`` refers to; None where there is no such table or label."""
        try:
            return self.tables[ref.table or table].cell(ref.row, ref.column)
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True)
class _Term:
    """A cell of a comparison: an exact number, or a measurement."""

    name: str
    weight: float
    exact: float | None = None
    measurement: Measurement | None = None
    metric: str = ""
    missing: str = ""


def judge(claim: Claim, table: int, context: ComparisonContext, place: str) -> ClaimView:
    """Return a claim of ``table`` with its verdict from the records of ``place``."""
    effects = tuple(_effect(contrast, table, context, place, len(claim.contrasts)) for contrast in claim.contrasts)
    verdict, note = _verdict(effects)
    note = "; ".join(part for part in (note, dict(claim.means).get(verdict, "")) if part)
    own = context.tables[table].own if table in context.tables else ""
    denied = claim.refuted_in_print
    return ClaimView(
        table, claim.name, claim.says, claim.where, place, verdict, effects, note, denied, own, claim.quote
    )


def _verdict(effects: tuple[Effect, ...]) -> tuple[str, str]:
    """Return the verdict on a claim that all of its comparisons are true, and a note.

    ``holds`` needs every comparison at the full level: the probability of accepting all while one is untrue is at most
    that level (an intersection-union test), so no correction is needed. ``fails`` needs one comparison out of many,
    whose false positive rate grows with their number: each interval is widened (Bonferroni).
    """
    measured = [effect for effect in effects if not effect.missing]
    single = any(effect.seeds == 1 for effect in measured)
    if not single and any(effect.state == "false" for effect in measured):
        return "fails", ""
    if len(measured) < len(effects):
        gone = tuple(dict.fromkeys(name for effect in effects for name in effect.missing))
        more = f" and {len(gone) - NAMED} more" if len(gone) > NAMED else ""
        text = f"{len(measured)} of {len(effects)} comparisons can be made; missing: {'; '.join(gone[:NAMED])}{more}"
        return "not run", text
    if single:
        return "undecided", "one seed: the interval is over images only, and no verdict is given"
    return ("holds" if effects and all(effect.state == "true" for effect in effects) else "undecided"), ""


def _effect(contrast: Contrast, table: int, context: ComparisonContext, place: str, comparisons: int) -> Effect:
    terms = [_term(weight, ref, table, context, place) for weight, ref in contrast.terms]
    effect = Effect(comparison(contrast, table, context.tables), float("nan"), bounds=bounds(contrast))
    if missing := tuple(f"{term.name} ({term.missing})" for term in terms if term.missing):
        return replace(effect, missing=missing)
    fixed = sum(term.weight * term.exact for term in terms if term.exact is not None)
    measured = [(term, term.measurement) for term in terms if term.measurement is not None]
    if not measured:
        state = "true" if _inside(fixed, fixed, contrast) else "false"
        return replace(effect, estimate=fixed, exact=True, state=state, slack=_slack(fixed, fixed, contrast))
    drawn = [(term.weight * POINTS, context.evidence.draws_by_seed(seeds, term.metric)) for term, seeds in measured]
    found = intervals.contrast(drawn, comparisons=comparisons)
    ends = {name: getattr(found, name) + fixed for name in ("estimate", "low", "high", "low_all", "high_all")}
    state = _state(ends, contrast)
    slack = _slack(found.low + fixed, found.high + fixed, contrast) / max(found.high - found.low, 1e-9)
    note = _note(measured, found)
    return replace(effect, **ends, seeds=found.seeds, images=found.images, state=state, slack=slack, note=note)


def _state(ends: Mapping[str, float], contrast: Contrast) -> str:
    if _inside(ends["low"], ends["high"], contrast):
        return "true"
    return "false" if _outside(ends["low_all"], ends["high_all"], contrast) else "open"


def _inside(low: float, high: float, contrast: Contrast) -> bool:
    above = contrast.above is None or low > contrast.above
    return above and (contrast.below is None or high < contrast.below)


def _slack(low: float, high: float, contrast: Contrast) -> float:
    """Return the smaller distance of an interval's ends from the bounds; negative where one lies beyond."""
    room = [] if contrast.above is None else [low - contrast.above]
    return min([*room, *([] if contrast.below is None else [contrast.below - high])], default=0.0)


def _outside(low: float, high: float, contrast: Contrast) -> bool:
    under = contrast.above is not None and high <= contrast.above
    return under or (contrast.below is not None and low >= contrast.below)


def _term(weight: float, ref: Ref, table: int, context: ComparisonContext, place: str) -> _Term:
    number = ref.table or table
    term = _Term(labelled(ref, table, context.tables), weight)
    match cell := context.cell(ref, table):
        case Cost():
            ours = context.counts.get(key(cell))
            return replace(term, exact=float(ours)) if isinstance(ours, int) else replace(term, missing="not run")
        case Cited():
            printed = paper.printed(number, ref.row, ref.column)
            value = printed.value if printed else None
            return replace(term, exact=value) if value is not None else replace(term, missing="not printed")
        case Score():
            return _scored(term, cell, context, place)
        case Submitted():
            answer = context.answer(cell)
            missing = "" if answer else "awaiting the test server"
            return replace(term, exact=POINTS * answer.miou if answer else None, missing=missing)
        case Layout():
            return replace(term, missing="not a number")
        case None:
            return replace(term, missing="no such cell")


def _scored(term: _Term, cell: Score, context: ComparisonContext, place: str) -> _Term:
    run_key = context.run_key(cell)
    if run_key is None:
        return replace(term, missing="no data")
    found = context.evidence.measure(run_key, place, cell.metric)
    if found.status != "measured":
        return replace(term, missing=found.status)
    return replace(term, measurement=found, metric=cell.metric)


def _note(measured: list[tuple[_Term, Measurement]], found: intervals.Interval) -> str:
    """Return which seeds are left out and why, and limits of the interval."""
    left = [f"{term.name}: {many(len(seeds.diverged), 'seed')} diverged" for term, seeds in measured if seeds.diverged]
    most = max(len(seeds.samples) for _, seeds in measured)
    if found.paired and most > found.seeds > 0:
        left.append(f"{many(found.seeds, 'seed')} that all cells share")
    if not found.paired:
        left.append("no shared seeds: not paired over seeds")
    if found.images < intervals.FEWEST_IMAGES:
        left.append(f"{many(found.images, 'image')}: too few for an interval")
    return "; ".join(left)
