"""`repro list`: every table and figure."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table as Grid

from repro.cli import options
from repro.cli.options import out
from repro.figures import all_figures, figure_docs
from repro.paper.tables import table_docs


@click.command("list")
@options.as_json
def list_(*, as_json: bool) -> None:
    """List every table and figure with its one-line description."""
    show(out, as_json=as_json)


HEADINGS = ("the paper's tables", "additional tables", "the paper's figures", "additional figures")


def show(out: Console, *, as_json: bool) -> None:
    """Print each spec's name and first line: tables, then figures, the paper's before the additional ones."""
    docs = {**table_docs(), **figure_docs()}
    names = sorted(docs, key=_heading)  # stable: the numbers stay in their order
    if as_json:
        out.print_json(json.dumps([{"name": name, "about": docs[name]} for name in names]))
        return
    width = max(map(len, names))
    for number, heading in enumerate(HEADINGS):
        grid = Grid(box=None, show_header=False, padding=(0, 2, 0, 0))
        grid.add_column(min_width=width)
        for name in (name for name in names if _heading(name) == number):
            grid.add_row(f"[bold]{name}[/]", docs[name])
        out.print(f"{heading}:", style="dim")
        out.print(grid)
        out.print()
    out.print("run a table: [bold]repro run table2[/]   its cost: [bold]repro plan table2[/]", style="dim")
    out.print("draw a figure: [bold]repro figure figure2[/]", style="dim")


def _heading(name: str) -> int:
    figure = all_figures().get(name)
    own = figure.number == 0 if figure else not name.removeprefix("table").isdigit()
    return 2 * (figure is not None) + own
