"""A table as one long frame, a row for each cell and place; from it the CSV file and the coverage; and all as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from repro.report.table_view import TableView
from repro.report.text import counted
from repro.results import metrics
from repro.results.records import Record

UNITS = {"cost": "count", "layout": "layer"}
TYPES = {
    "table": "str", "row": "str", "column": "str", "kind": "str", "printed": "str", "value": "float64",
    "words": "str", "std": "float64", "n": "Int64", "status": "str", "verdict": "str", "runs": "str",
    "difference": "float64", "unit": "str", "diverged": "Int64", "profile": "str", "place": "str", "key": "str",
    "cut_to_steps": "Int64",
}  # fmt: skip
"""Columns of the long frame; a number that is missing is NaN or NA, never 0."""
COLUMNS = (
    "table", "row", "column", "printed", "ours", "std", "n", "status", "verdict", "runs",
    "difference", "unit", "diverged", "profile", "place", "key", "cut_to_steps",
)  # fmt: skip
"""Columns of a CSV file: ``ours`` is the value, or the words of a layout."""


def long_frame(views: Sequence[TableView]) -> pd.DataFrame:
    """Return one row for each cell and place, in the order of the tables; numbers in full, in the unit named."""
    lines = [line for view in views for line in _lines(view)]
    return pd.DataFrame(lines, columns=list(TYPES)).astype(TYPES)


def _lines(view: TableView) -> Iterator[dict[str, object]]:
    for cell in view.cells():
        for outcome in cell.outcomes:
            found = outcome.measurement
            yield {
                "table": _name(view),
                "row": cell.row,
                "column": cell.column,
                "kind": cell.kind,
                "printed": cell.printed.text if cell.printed else "",
                "value": outcome.value,
                "words": outcome.words,
                "std": found.std if found else math.nan,
                "n": len(found.samples) if found else None,
                "status": outcome.status,
                "verdict": outcome.verdict,
                "runs": " ".join(record.name for record in found.records) if found else "",
                "difference": outcome.difference,
                "unit": metrics.find(cell.metric).unit if cell.kind == "score" else UNITS.get(cell.kind, ""),
                "diverged": len(found.diverged) if found else None,
                "profile": view.profile,
                "place": outcome.place,
                "key": cell.key,
                "cut_to_steps": view.cut if cell.kind == "score" else None,
            }


def render_csv(view: TableView) -> str:
    """Return one table; scores with four places, counts without; empty where there is no number."""
    frame = long_frame((view,))
    for name in ("value", "std", "difference"):
        frame[name] = [number(value, kind) for value, kind in zip(frame[name], frame["kind"], strict=True)]
    frame["ours"] = frame["words"].where(frame["words"] != "", frame["value"])
    texts = [name for name in COLUMNS if TYPES.get(name, "str") == "str"]
    frame[texts] = frame[texts].map(_safe)
    text: str = frame.to_csv(columns=COLUMNS, index=False, lineterminator="\n")
    return text


EMPTY = {"cells": 0, "filled": 0, "verdicts": ""}
FILLED = ("measured", "computed", "cited")


def coverage(views: Sequence[TableView]) -> pd.DataFrame:
    """Return a row for each table: its cells, how many are filled, and how many have which verdict."""
    cells = long_frame(views).drop_duplicates(["table", "row", "column"])  # the first place of each cell
    cells["filled"] = cells["status"].isin(FILLED)
    cells["word"] = cells["verdict"].where(cells["verdict"] != "", cells["status"])
    found = cells.groupby("table", sort=False).agg(
        cells=("filled", "size"), filled=("filled", "sum"), verdicts=("word", _tally)
    )
    return found.reindex([_name(view) for view in views]).fillna(EMPTY).astype({"cells": int, "filled": int})


def _tally(words: pd.Series) -> str:
    return ", ".join(counted(n, word) for word, n in Counter(words).items())


def _name(view: TableView) -> str:
    return str(view.own or view.number)


def number(value: float, kind: str = "score") -> str:
    """Return a score with four places, a count without; empty for nan."""
    if not math.isfinite(value):
        return ""
    return f"{value:.0f}" if kind == "cost" else f"{value:.4f}"


def _safe(text: str) -> str:
    """Return a field that a spreadsheet takes as text: a formula gets an apostrophe, numbers stay."""
    if text[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        try:
            float(text)
        except ValueError:
            return "'" + text
    return text


DECIMALS = 6
"""Decimals kept: later ones differ between processors."""


def render_json(views: tuple[TableView, ...], **others: Any) -> str:  # noqa: ANN401 - any frozen values
    """Return tables as one JSON document, with what concerns no single one; nan is null, a record is its name."""
    tree = {"tables": plain(views), **plain(others)}
    return json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:  # noqa: ANN401 - a tree of views becomes a tree of plain values
    """Return frozen values as mappings, tuples as lists, nan as None."""
    if isinstance(value, Record):
        return value.name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, float):
        return round(value, DECIMALS) if math.isfinite(value) else None
    return value
