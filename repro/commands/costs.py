"""`repro cost`: every count that the paper prints beside the same count of the built modules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from repro import cost, paper, verdicts
from repro.atomic import atomic_write
from repro.counts import STORED
from repro.keys import key
from repro.select import select_tables
from repro.spec import Cell, Cost, Layout, SpecError, Table
from repro.specs import tables

CONVENTION = "parameters without biases; a multiply-add is one operation; convolutions only where the paper says so"


@dataclass(frozen=True)
class Counted:
    """One count cell: where it stands, what is printed, what the modules have."""

    table: int
    row: str
    column: str
    printed: str
    ours: int | str
    verdict: str


def count_cells(tables: list[Table], counter: cost.Counter) -> Iterator[Counted]:
    """Count every cell of some tables that needs arithmetic only."""
    for table in tables:
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                if isinstance(cell, Cost | Layout):
                    yield _count(table.number, row.label, column, cell, counter)
        for reading in table.readings:
            if not reading.taken:
                other = _count(table.number, reading.at.row, reading.at.column, reading.cost, counter)
                yield replace(other, row=f"{other.row}, {reading.says}")


def _count(table: int, row: str, column: str, cell: Cell, counter: cost.Counter) -> Counted:
    printed = paper.printed(table, row, column)
    text = "" if printed is None else printed.text
    ours = value(cell, counter)
    if isinstance(ours, str):
        verdict = verdicts.text(ours, text)
    elif printed is None or printed.value is None:
        verdict = ""
    else:
        verdict = verdicts.count(ours, printed.value, printed.step)
    return Counted(table, row, column, text, ours, verdict)


def value(cell: Cell, counter: cost.Counter = cost.torch_macs) -> int | str:
    """Return the count or the layout of a cell, from modules on the meta device."""
    if isinstance(cell, Cost):
        return cost.measure(cell, counter)
    assert isinstance(cell, Layout)
    return layout_text(cell)


def layout_text(cell: Layout) -> str:
    """Return Table 11's size or description of one stage, read off the built classifier."""
    component = {"stem": "conv1", "pool": "pool", "classifier": "ImageNet Classifier"}.get(cell.stage)
    component = component or cell.stage.replace("res", "res-")
    size, text = next((size, text) for name, size, text in cost.layout(cell.of) if name == component)
    return size if cell.what == "size" else text


def show(out: Console, words: tuple[str, ...], *, as_json: bool, fvcore: bool) -> bool:
    """Print the counts of some tables; return whether every parameter count matches.

    Raises:
        SpecError: a word that names no table, or none with a count.
    """
    counter = cost.fvcore_macs if fvcore else cost.torch_macs
    found = list(count_cells(select_tables(list(words)), counter))
    if not found:
        raise SpecError(f"{' '.join(words)}: has no counts; tables 2, 4, 11 and costs do")
    if as_json:
        out.print_json(json.dumps({"convention": CONVENTION, "cells": [asdict(cell) for cell in found]}))
    else:
        _grid(out, found)
    return all(cell.verdict != "differs" for cell in found if cell.table in {2, 4})


def _grid(out: Console, found: list[Counted]) -> None:
    grid = Grid("table", "row", "column", "printed", "ours", "verdict", box=None, padding=(0, 2, 0, 0))
    for cell in found:
        ours = _ours(cell)
        colour = {"matches": "green", "differs": "red"}.get(cell.verdict, "")
        grid.add_row(
            str(cell.table), cell.row, cell.column, cell.printed, ours, f"[{colour}]{cell.verdict}[/]" if colour else ""
        )
    out.print(grid)
    out.print(CONVENTION, style="dim", soft_wrap=True)


def _ours(cell: Counted) -> str:
    """Return our count in the printed unit: whole parameters, or millions of multiply-adds."""
    if isinstance(cell.ours, str):
        return cell.ours
    found = paper.printed(cell.table, cell.row.partition(",")[0], cell.column)
    return f"{cell.ours / 1e6:,.0f}" if found and found.unit == "MFLOPs" else f"{cell.ours:,}"


def store(path: Path = STORED) -> int:
    """Write every count of the suite to the file that the report reads; return their number.

    Raises:
        SpecError: the disk refuses.
    """
    import torch

    from repro.commands import networks

    tree = {"convention": CONVENTION, "torch": torch.__version__.split("+")[0], "counts": every_count()}
    try:
        networks.store()
        atomic_write(path, json.dumps(tree, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise SpecError(f"{path.parent}: counts cannot be written ({error.strerror or error}); free space") from error
    return len(tree["counts"])


def every_count() -> dict[str, int | str]:
    """Return every count and layout of the suite's tables by the key of its cell, read off the modules."""
    found = tables().values()
    cells: list[Cell | None] = [cell for table in found for cell in table.cells()]
    cells += [reading.cost for table in found for reading in table.readings]
    return {key(cell): value(cell) for cell in cells if isinstance(cell, Cost | Layout)}
