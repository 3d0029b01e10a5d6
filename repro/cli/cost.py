"""`repro cost`: every count that the paper reports beside the same count of the built modules."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table as Grid

from repro.cli import options
from repro.cli.options import out
from repro.config import profiles
from repro.config.errors import SpecError
from repro.config.experiment import Run
from repro.config.hashing import key
from repro.config.io import atomic_write
from repro.models import flops
from repro.paper import printed as paper
from repro.paper.schema import CONVENTION, Cell, Cost, Layout, Table
from repro.paper.tables import all_tables, select_tables
from repro.results.counts import STORED
from repro.results.records import RecordStore
from repro.runner.budget import NETWORKS, Pass, passes
from repro.runner.plan import make_plan


@click.command()
@options.tables
@options.as_json
@click.option("--fvcore", is_flag=True, help="count multiply-adds with fvcore, a second opinion")
@click.option("--store", is_flag=True, help="write all counts to the file that the report reads")
def cost(*, tables: tuple[str, ...], as_json: bool, fvcore: bool, store: bool) -> None:
    """Count parameters and multiply-adds of the paper's networks and compare them with the reported ones."""
    if store:
        out.print(f"{store_counts()} counts stored")
    if not show(out, tables, as_json=as_json, fvcore=fvcore):
        sys.exit(1)


@dataclass(frozen=True)
class Counted:
    """One count cell: its place, the reported count, the count of the modules."""

    table: int
    row: str
    column: str
    printed: str
    ours: int | str
    verdict: str


def count_cells(tables: list[Table], counter: flops.Counter) -> Iterator[Counted]:
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


def _count(table: int, row: str, column: str, cell: Cell, counter: flops.Counter) -> Counted:
    printed = paper.printed(table, row, column)
    ours = value(cell, counter)
    if printed is None:
        return Counted(table, row, column, "", ours, "")
    return Counted(table, row, column, printed.text, ours, printed.verdict(ours))


def value(cell: Cell, counter: flops.Counter = flops.torch_macs) -> int | str:
    """Return the count or the layout of a cell, from modules on the meta device."""
    if isinstance(cell, Cost):
        return flops.measure(cell, counter)
    assert isinstance(cell, Layout)
    return layout_text(cell)


def layout_text(cell: Layout) -> str:
    """Return Table 11's size or description of one stage, read off the built classifier."""
    component = {"stem": "conv1", "pool": "pool", "classifier": "ImageNet Classifier"}.get(cell.stage)
    component = component or cell.stage.replace("res", "res-")
    size, text = next((size, text) for name, size, text in flops.layout(cell.of) if name == component)
    return size if cell.what == "size" else text


def show(out: Console, words: tuple[str, ...], *, as_json: bool, fvcore: bool) -> bool:
    """Print the counts of some tables; return whether every parameter count matches.

    Raises:
        SpecError: a word that names no table, or none with a count.
    """
    counter = flops.fvcore_macs if fvcore else flops.torch_macs
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
    """Return the count in the reported unit, or the layout."""
    if isinstance(cell.ours, str):
        return cell.ours
    found = paper.printed(cell.table, cell.row.partition(",")[0], cell.column)
    return f"{found.in_unit(cell.ours) if found else cell.ours:,.0f}"


def store_counts(path: Path = STORED) -> int:
    """Write every count of the suite to the file that the report reads; return their number.

    Raises:
        SpecError: the disk refuses.
    """
    import torch

    tree = {"convention": CONVENTION, "torch": torch.__version__.split("+")[0], "counts": every_count()}
    try:
        store_networks()
        atomic_write(path, json.dumps(tree, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise SpecError(f"{path.parent}: counts cannot be written ({error.strerror or error}); free space") from error
    return len(tree["counts"])


def every_count() -> dict[str, int | str]:
    """Return every count and layout of the suite's tables by the key of its cell, read off the modules."""
    found = all_tables().values()
    cells: list[Cell | None] = [cell for table in found for cell in table.cells()]
    cells += [reading.cost for table in found for reading in table.readings]
    return {key(cell): value(cell) for cell in cells if isinstance(cell, Cost | Layout)}


def all_runs() -> Iterator[Run]:
    """Yield every run of every profile at its full length."""
    for profile in profiles.PROFILES.values():
        yield from (job.run for job in make_plan(all_tables().values(), profile, (0,), RecordStore(())).jobs)


def count_pass(one: Pass) -> dict[str, int]:
    """Count parameters, multiply-adds and launched operations of one forward pass on the meta device."""
    return {
        "params": flops.network_params(one.model, one.classes),
        "macs": flops.network_macs(one.model, one.classes, one.height, one.width),
        "operations": flops.network_operations(one.model, one.classes, one.height, one.width),
    }


def store_networks(path: Path = NETWORKS) -> int:
    """Write the counts of every pass; return their number."""
    found = {one.name: count_pass(one) for one in passes(all_runs())}
    tree = {"networks": found}
    atomic_write(path, json.dumps(tree, indent=1, sort_keys=True) + "\n")
    return len(found)
