"""`repro list`: every table and figure."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table as Grid

from repro import specs


def show(out: Console, *, as_json: bool) -> None:
    """Print each spec's name and first line, read without importing any of them."""
    docs = specs.docs()
    if as_json:
        out.print_json(json.dumps([{"name": name, "about": about} for name, about in docs.items()]))
        return
    grid = Grid(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, about in docs.items():
        grid.add_row(f"[bold]{name}[/]", about)
    out.print(grid)
    out.print("\nrun one: [bold]repro run table2[/]   what it costs: [bold]repro plan table2[/]", style="dim")
