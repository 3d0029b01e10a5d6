"""Tables as CSV in long form, one line for each cell and place, and as JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping
from typing import Any

from repro.report.table_view import CellView, Outcome, TableView
from repro.results.records import Record

COLUMNS = (
    "table", "row", "column", "printed", "ours", "std", "n", "status", "verdict", "runs",
    "difference", "unit", "diverged", "profile", "place", "key", "cut_to_steps",
)  # fmt: skip
UNITS = {"score": "%", "cost": "count", "layout": "layer"}


def render_csv(view: TableView) -> str:
    """Return one table; numbers in full, in the unit named; empty where there is none, never 0 for it."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cell in view.cells():
        for outcome in cell.outcomes:
            writer.writerow([_safe(text) for text in _line(view, cell, outcome)])
    return stream.getvalue()


def _line(view: TableView, cell: CellView, outcome: Outcome) -> list[str]:
    found = outcome.measurement
    runs = " ".join(record.name for record in found.records) if found else ""
    return [
        str(view.own or view.number),
        cell.row,
        cell.column,
        cell.printed.text if cell.printed else "",
        outcome.words or number(outcome.value, cell.kind),
        number(found.std) if found else "",
        str(len(found.samples)) if found else "",
        outcome.status,
        outcome.verdict,
        runs,
        number(outcome.difference, cell.kind),
        "loss x 100" if cell.metric == "train_loss" else UNITS.get(cell.kind, ""),
        str(len(found.diverged)) if found else "",
        view.profile,
        outcome.place,
        cell.key,
        "" if view.cut is None or cell.kind != "score" else str(view.cut),
    ]


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
"""Places kept: what lies beyond differs between processors."""


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
