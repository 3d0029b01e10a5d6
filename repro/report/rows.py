"""A table's lines of text, before any format: each printed row becomes what is printed, measured, and between them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from repro.formatting import signed
from repro.report import text as words
from repro.report.table_view import CellView, Outcome, RowView, TableView

Pairs = tuple[tuple[CellView, Outcome | None], ...]


@dataclass(frozen=True)
class Column:
    """A named column; its kind decides alignment and emphasis."""

    name: str
    kind: Literal["label", "what", "number", "verdict"]


@dataclass(frozen=True)
class Line:
    """One line: the row it belongs to (named on its first line only), what it shows, its numbers, their verdict.

    A line without numbers has its verdict across the whole table.
    """

    label: str
    what: str
    numbers: tuple[str, ...]
    verdict: str = ""


@dataclass(frozen=True)
class Grid:
    """Named columns over lines."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]

    @property
    def tall(self) -> bool:
        """Whether each row is one line, because the table has one column in the paper."""
        return all(column.kind != "what" for column in self.columns)

    @property
    def numbers(self) -> tuple[Column, ...]:
        """The columns of numbers."""
        return tuple(column for column in self.columns if column.kind == "number")

    def texts(self, line: Line) -> Iterator[tuple[Column, str]]:
        """Yield each column with the text that a line has there."""
        numbers = iter(line.numbers)
        for column in self.columns:
            yield column, next(numbers) if column.kind == "number" else getattr(line, column.kind)

    def select(self, start: int, end: int) -> Grid:
        """Return some of the columns of numbers; verdicts stay with the last of them."""
        last = end == len(self.numbers)
        heads = (column for column in self.columns if column.kind in {"label", "what"})
        verdict = (column if last else replace(column, name="") for column in self.columns if column.kind == "verdict")
        lines = (
            replace(line, numbers=line.numbers[start:end], verdict=line.verdict if last else "") for line in self.lines
        )
        return Grid((*heads, *self.numbers[start:end], *verdict), tuple(lines))


def layout(view: TableView, *, stacked: bool = False) -> Grid:
    """Return the lines of a table.

    Args:
        view: the table.
        stacked: put spreads on a line of their own, for narrow pages.
    """
    if len(view.columns) == 1:
        return _tall(view)
    lines = tuple(line for row in view.rows for line in _lines(row, view, stacked=stacked))
    numbers = (Column(name, "number") for name in view.columns)
    verdict = () if stacked else (Column("verdict", "verdict"),)
    return Grid((Column(view.corner, "label"), Column("", "what"), *numbers, *verdict), lines)


def _lines(row: RowView, view: TableView, *, stacked: bool) -> list[Line]:
    printed = tuple(cell.printed.text if cell.printed else "" for cell in row.cells)
    lines = [] if view.own else [Line(row.label, "paper", printed, "cited" if _cited(row) else "")]
    for place in _places(row, view):
        pairs = tuple(zip(row.cells, (cell.outcome(place) for cell in row.cells), strict=True))
        lines += _stack(row, place, pairs) if stacked else _flat(row, place, pairs)
    return [replace(lines[0], label=row.label), *lines[1:]] if lines else []


def _flat(row: RowView, place: str, pairs: Pairs) -> list[Line]:
    """Return what was measured with its spread in the same cell."""
    verdict = verdicts([outcome for _, outcome in pairs if outcome])
    extra = [
        ("difference", _each(pairs, words.difference)),
        (f"gain{_from(row)}, paper / here", _each(pairs, _gains)),
    ]
    extra += _spans(row, pairs)
    lines = [Line("", _name(place), _each(pairs, words.measured), verdict)]
    return lines + [Line("", what, texts) for what, texts in extra if any(texts)]


def _spans(row: RowView, pairs: Pairs) -> list[tuple[str, tuple[str, ...]]]:
    """Return the lines of intervals, which only cells without a print have."""
    gains = _each(pairs, lambda _, o: signed(o.gain) if o.span and math.isfinite(o.gain) else "")
    return [
        ("95 % interval", _each(pairs, lambda _, o: words.span(o.span))),
        (f"gain{_from(row)}", gains),
        ("95 % interval of the gain", _each(pairs, lambda _, o: words.span(o.gain_span, sign=True))),
    ]


def _ends(row: RowView, pairs: Pairs) -> list[tuple[str, tuple[str, ...]]]:
    """Return the lines of intervals with each end on a line of its own."""
    lines: list[tuple[str, tuple[str, ...]]] = []
    for what, texts in _spans(row, pairs):
        if "interval" not in what:
            lines.append((what, texts))
            continue
        parts = [text.strip("[]").partition(", ") for text in texts]
        lines.append((f"{what.replace(' interval', '')}, from", tuple(part[0] for part in parts)))
        lines.append(("to", tuple(part[2] for part in parts)))
    return lines


def _stack(row: RowView, place: str, pairs: Pairs) -> list[Line]:
    """Return the same with every number alone in its cell, verdict and seeds on a line across the table."""
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
    lines = [Line("", _name(place), _each(pairs, words.value))]
    lines += [Line("", what, texts) for what, texts in extra if any(texts)]
    verdict = verdicts([outcome for _, outcome in pairs if outcome])
    if {verdict} == {outcome.status for _, outcome in pairs if outcome}:
        return lines
    return [*lines, Line("", "verdict", (), verdict + (f"; seeds {counted[0]} each" if same and counted[0] else ""))]


def _places(row: RowView, view: TableView) -> tuple[str, ...]:
    kinds = {cell.kind for cell in row.cells}
    if "score" in kinds:
        return view.places
    return ("computed",) if kinds & {"cost", "layout"} else (("server",) if "submitted" in kinds else ())


def _name(place: str) -> str:
    return "ours" if place in {"computed", "server"} else place


def _cited(row: RowView) -> bool:
    return all(cell.kind == "cited" for cell in row.cells)


def _each(pairs: Pairs, text: Callable[[CellView, Outcome], str]) -> tuple[str, ...]:
    return tuple(text(cell, outcome) if outcome else "" for cell, outcome in pairs)


def _gains(cell: CellView, outcome: Outcome) -> str:
    """Return the gain over the line's first score, as printed and as measured; empty where one is unknown."""
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


def _tall(view: TableView) -> Grid:
    scored = any(cell.kind == "score" for cell in view.cells())
    places = view.places if scored else ("ours",)
    lines = tuple(_tall_line(row, view.places if scored else ("server",)) for row in view.rows)
    numbers = (Column(name, "number") for name in ("paper", *places, "difference"))
    return Grid((Column(view.corner, "label"), *numbers, Column("verdict", "verdict")), lines)


def _tall_line(row: RowView, places: tuple[str, ...]) -> Line:
    cell = row.cells[0]
    found = [cell.outcome(place) for place in places]
    shown = [words.measured(cell, o) if o and o.status != "awaiting the test server" else "" for o in found]
    apart = ", ".join(text for outcome in found if outcome and (text := words.difference(cell, outcome)))
    verdict = "cited" if cell.kind == "cited" else verdicts([outcome for outcome in found if outcome])
    return Line(row.label, "", (cell.printed.text if cell.printed else "", *shown, apart), verdict)
