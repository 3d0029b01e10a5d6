"""A table's lines of text before any format: for each row of the paper the lines reported, measured, and compared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from repro.formatting import signed
from repro.report import text as words
from repro.report.table_view import CellView, Outcome, RowView, TableView

if TYPE_CHECKING:
    import pandas as pd

Pairs = tuple[tuple[CellView, Outcome | None], ...]
Texts = tuple[str, ...]
Line = tuple[str, ...]
"""Content of the line, a text for each number, the verdict."""


def layout(view: TableView, *, stacked: bool = False) -> pd.DataFrame:
    """Return the lines of a table as a frame of text.

    Its columns have a kind and a name: the ``label`` of the row (on its first line only), ``what`` the line shows,
    the columns of ``number``, the ``verdict``. A table of one column has one line a row, and no ``what``.

    Args:
        view: the table.
        stacked: put spreads on a line of their own, and verdicts on a line without numbers, for narrow pages.
    """
    import pandas as pd  # after a start that `repro run --help` does not wait for

    if len(view.columns) == 1:
        scored = any(cell.kind == "score" for cell in view.cells())
        places = view.places if scored else ("server",)
        heads = [("label", view.corner)]
        names: Texts = ("paper", *(places if scored else ("ours",)), "difference")
        lines = [(row.label, *_tall_line(row, places)) for row in view.rows]
    else:
        heads = [("label", view.corner), ("what", "")]
        names = view.columns
        lines = [
            ("" if i else row.label, *line)
            for row in view.rows
            for i, line in enumerate(_lines(row, view, stacked=stacked))
        ]
    columns = [*heads, *(("number", name) for name in names), ("verdict", "verdict")]
    return pd.DataFrame(lines, columns=pd.MultiIndex.from_tuples(columns, names=["kind", "name"]), dtype=object)


def texts(grid: pd.DataFrame) -> Iterator[list[tuple[str, str]]]:
    """Yield each line of a table as the kind and the text of its columns."""
    kinds = grid.columns.get_level_values("kind")
    for line in grid.to_numpy().tolist():
        yield list(zip(kinds, line, strict=True))


def _lines(row: RowView, view: TableView, *, stacked: bool) -> Iterator[Line]:
    if not view.own:
        reported = (cell.printed.text if cell.printed else "" for cell in row.cells)
        yield "paper", *reported, "cited" if _cited(row) and not stacked else ""
    for place in _places(row, view):
        pairs = tuple(zip(row.cells, (cell.outcome(place) for cell in row.cells), strict=True))
        yield from _stack(row, place, pairs) if stacked else _flat(row, place, pairs)


def _flat(row: RowView, place: str, pairs: Pairs) -> Iterator[Line]:
    """Yield the measured line, its spread in the same cell, and the lines of comparison that have any text."""
    verdict = verdicts([outcome for _, outcome in pairs if outcome])
    extra = [
        ("difference", _each(pairs, words.difference)),
        (f"gain{_from(row)}, paper / here", _each(pairs, _gains)),
    ]
    extra += _spans(row, pairs)
    yield _name(place), *_each(pairs, words.measured), verdict
    yield from ((what, *found, "") for what, found in extra if any(found))


def _spans(row: RowView, pairs: Pairs) -> list[tuple[str, Texts]]:
    """Return the lines of intervals, which only cells of additional tables have."""
    gains = _each(pairs, lambda _, o: signed(o.gain) if o.span and math.isfinite(o.gain) else "")
    return [
        ("95 % interval", _each(pairs, lambda _, o: words.span(o.span))),
        (f"gain{_from(row)}", gains),
        ("95 % interval of the gain", _each(pairs, lambda _, o: words.span(o.gain_span, sign=True))),
    ]


def _ends(row: RowView, pairs: Pairs) -> list[tuple[str, Texts]]:
    """Return the lines of intervals with each end on a line of its own."""
    lines: list[tuple[str, Texts]] = []
    for what, found in _spans(row, pairs):
        if "interval" not in what:
            lines.append((what, found))
            continue
        parts = [text.strip("[]").partition(", ") for text in found]
        lines.append((f"{what.replace(' interval', '')}, from", tuple(part[0] for part in parts)))
        lines.append(("to", tuple(part[2] for part in parts)))
    return lines


def _stack(row: RowView, place: str, pairs: Pairs) -> Iterator[Line]:
    """Yield the same with every number alone in its cell, verdict and seeds on a line across the table."""
    counted = [words.seeds(outcome) for _, outcome in pairs if outcome]
    same = len(set(counted)) == 1
    extra = [
        ("± over seeds", _each(pairs, words.deviation)),
        ("(seeds)", () if same else _each(pairs, lambda _, outcome: words.seeds(outcome))),
        ("difference", _each(pairs, words.difference)),
        ("gain, paper", _each(pairs, lambda cell, outcome: _gains(cell, outcome).partition(" / ")[0])),
        ("gain, here", _each(pairs, lambda cell, outcome: _gains(cell, outcome).partition(" / ")[2])),
        *_ends(row, pairs),
    ]
    yield _name(place), *_each(pairs, words.value), ""
    yield from ((what, *found, "") for what, found in extra if any(found))
    verdict = verdicts([outcome for _, outcome in pairs if outcome])
    if {verdict} != {outcome.status for _, outcome in pairs if outcome}:
        yield "verdict", *("" for _ in pairs), verdict + (f"; seeds {counted[0]} each" if same and counted[0] else "")


def _places(row: RowView, view: TableView) -> tuple[str, ...]:
    kinds = {cell.kind for cell in row.cells}
    if "score" in kinds:
        return view.places
    return ("computed",) if kinds & {"cost", "layout"} else (("server",) if "submitted" in kinds else ())


def _name(place: str) -> str:
    return "ours" if place in {"computed", "server"} else place


def _cited(row: RowView) -> bool:
    return all(cell.kind == "cited" for cell in row.cells)


def _each(pairs: Pairs, text: Callable[[CellView, Outcome], str]) -> Texts:
    return tuple(text(cell, outcome) if outcome else "" for cell, outcome in pairs)


def _gains(cell: CellView, outcome: Outcome) -> str:
    """Return the gain over the line's first score, reported and measured; empty where one is unknown."""
    if not (math.isfinite(outcome.gain) and math.isfinite(cell.gain_printed)) or math.isfinite(outcome.difference):
        return ""
    return f"{signed(cell.gain_printed)} / {signed(outcome.gain)}"


def _from(row: RowView) -> str:
    first = row.cells[0]
    along = first.kind == "score" and math.isnan(first.gain_printed)
    return f" over {first.column}" if along else ""


def verdicts(outcomes: list[Outcome]) -> str:
    """Return one word where all cells share it, else each word with its number: ``3 match, 1 differs``."""
    found = Counter(outcome.verdict or outcome.status for outcome in outcomes)
    if len(found) == 1:
        return next(iter(found))
    return ", ".join(words.counted(n, word) for word, n in found.items())


def _tall_line(row: RowView, places: tuple[str, ...]) -> Line:
    cell = row.cells[0]
    found = [cell.outcome(place) for place in places]
    shown = [words.measured(cell, o) if o and o.status != "awaiting the test server" else "" for o in found]
    apart = ", ".join(text for outcome in found if outcome and (text := words.difference(cell, outcome)))
    verdict = "cited" if cell.kind == "cited" else verdicts([outcome for outcome in found if outcome])
    return cell.printed.text if cell.printed else "", *shown, apart, verdict
