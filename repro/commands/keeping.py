"""`repro status`, `retract`: what has run, what was withdrawn."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from repro import answers, records
from repro.commands.planning import Request
from repro.machine import Machine
from repro.records import RecordError
from repro.withdrawn import withdraw

PLACES = ("reference", "local")
Filled = dict[int | str, Counter[str]]
"""Of each table: its cells, and how many of them have a record in each place."""


def status(out: Console, request: Request, *, as_json: bool) -> None:
    """Print, by table, how many cells have a record; then what diverged, is unfinished or was passed over."""
    shelf = request.shelf
    filled = _filled(request)
    work = sorted(path.name for path in Machine(runs=request.runs).work.glob("*/") if path.is_dir())
    diverged = sorted(
        r.name for r in shelf.records if r.status == "diverged" and r.meta.get("profile") == request.profile
    )
    if as_json:
        tables = {str(table): {name: found[name] for name in ("cells", *PLACES)} for table, found in filled.items()}
        tree = {"tables": tables, "unfinished": work, "diverged": diverged, "passed_over": list(shelf.passed_over)}
        out.print_json(json.dumps(tree))
        return
    out.print(
        f"[bold]{request.profile}[/]: cells that have a record, of the project (reference) and of this machine (local)",
        soft_wrap=True,
    )
    out.print(_grid(filled))
    for name in diverged:
        out.print(f"diverged: {name} (its record says when; the tables show it as such)", soft_wrap=True, markup=False)
    for name in work:
        out.print(f"unfinished: {name} (the same repro run takes it up again)", soft_wrap=True, markup=False)
    for fault in shelf.passed_over:
        out.print(f"passed over: {fault}", style="yellow", soft_wrap=True, markup=False)


def _filled(request: Request) -> Filled:
    """Return by table how many cells there are data for, and how many have a record in each place."""
    shelf, found = request.shelf, Filled()
    for (table, _, _), run in request.plan(shelf).cells.items():
        if run is not None:
            places = {record.place for record in shelf.of(run.key)}
            found.setdefault(table, Counter()).update(["cells", *places])
    return found


def _grid(filled: Filled) -> Grid:
    grid = Grid("table", "cells", *PLACES, box=None, padding=(0, 2, 0, 0))
    for column in grid.columns[1:]:
        column.justify = "right"
    for table, found in filled.items():
        name = f"table{table}" if isinstance(table, int) else table
        grid.add_row(name, *(str(found[part]) for part in ("cells", *PLACES)))
    return grid


def retract(out: Console, name: str, why: str, runs: Path) -> None:
    """Withdraw a record of this machine or the project; raise ``RecordError`` where there is none, or no reason."""
    if not why.strip():
        raise RecordError(f"{name}: a withdrawal needs its reason; say it in words after --why")
    place = Machine(runs=runs)
    roots = {"reference": place.reference, "local": place.local}
    for answer in (answer for answer in records.load(roots).answers if answer.name == name):
        answers.retract(answer, why)
        out.print(f"retracted {answer.folder}", soft_wrap=True, markup=False)
        return
    folders = [root / name for root in roots.values()]
    found = [folder for folder in folders if folder.name == name and records.present(folder)]
    if not found:
        raise RecordError(f"{name}: no record of this name under {runs}; repro status lists them")
    for folder in found:
        withdraw(folder, why)
        out.print(f"retracted {folder}", soft_wrap=True, markup=False)
