"""Tables as CSV in long form: one line for each cell and place."""

from __future__ import annotations

import csv
import io
import math

from repro.views import CellView, Outcome, TableView

COLUMNS = (
    "table", "row", "column", "printed", "ours", "std", "n", "status", "verdict", "runs",
    "difference", "unit", "diverged", "profile", "place", "key", "cut_to_steps",
)  # fmt: skip
UNITS = {"score": "%", "cost": "count", "layout": "layer"}


def render(view: TableView) -> str:
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
