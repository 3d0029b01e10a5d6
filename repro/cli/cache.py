"""`repro cache`: what lies in the cache of decoded data sets, and removing it."""

from __future__ import annotations

import json

import click
from rich.table import Table as Grid

from repro.cli import options
from repro.cli.options import out
from repro.config.errors import DataError
from repro.data import cache as stores
from repro.data.cache import Kept


@click.command()
@click.option("--clear", is_flag=True, help="remove the parts of stores that killed processes left")
@click.option("--all", "whole", is_flag=True, help="with --clear: remove the stores too; they are decoded again")
@options.as_json
def cache(*, clear: bool, whole: bool, as_json: bool) -> None:
    """List the stores of decoded data sets (REPRO_CACHE, or .cache/repro) with their sizes, and unfinished parts."""
    if whole and not clear:
        raise click.UsageError("--all removes nothing without --clear; add it, or leave --all out")
    folder = stores.cache_folder()
    try:
        found = stores.contents(folder)
        gone = [one for one in found if clear and (whole or not one.whole) and stores.remove(one)]
    except OSError as error:
        raise DataError(f"cache {folder}: {error.filename or folder}: {error.strerror or error}") from error
    if as_json:
        rows = [{"name": one.path.name, "bytes": one.size, "state": _state(one, gone)} for one in found]
        out.print_json(json.dumps({"folder": str(folder), "content": rows}))
        return
    total = sum(one.size for one in found if one not in gone)
    out.print(f"cache {folder}: {_megabytes(total)}", soft_wrap=True, markup=False)
    grid = Grid("name", "size", "state", box=None, padding=(0, 2, 0, 0))
    grid.columns[1].justify = "right"
    for one in found:
        grid.add_row(one.path.name, _megabytes(one.size), _state(one, gone))
    if found:
        out.print(grid)
    if any(not one.whole and not one.in_use and one not in gone for one in found):
        out.print("repro cache --clear removes what killed processes left", soft_wrap=True)


def _state(one: Kept, gone: list[Kept]) -> str:
    if one in gone:
        return "removed"
    if one.whole:
        return "store"
    return "being decoded" if one.in_use else "left by a killed process"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
