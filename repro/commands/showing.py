"""Show tables in the terminal: printed, reference and local side by side, then the claims."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Frame

from repro import compare
from repro.counts import load_counts
from repro.measured import Evidence
from repro.profiles import Profile
from repro.records import Shelf
from repro.render import words
from repro.render.grid import Grid, layout
from repro.spec import Table
from repro.specs import tables as all_tables
from repro.views import ClaimView, TableView

COLOURS = {"matches": "green", "holds": "green", "within": "green", "differs": "red", "fails": "red",
           "outside": "red", "diverged": "yellow"}  # fmt: skip


def show_tables(out: Console, tables: list[Table], profile: Profile, shelf: Shelf) -> None:
    """Print tables of a profile from all records."""
    evidence = Evidence(shelf)
    counts = load_counts()
    for table in tables:
        view = compare.compare(table, profile, evidence, counts, all_tables(), ("reference", "local"))
        show(out, view)


def show(out: Console, view: TableView) -> None:
    """Print one table."""
    out.print(f"\n[bold]{view.profile}[/] · [bold]{view.label}[/]: {escape(view.title)}", soft_wrap=True)
    if view.own:
        out.print(words.OWN, style="dim", soft_wrap=True)
    if view.profile != "paper":
        out.print("other data than the paper's: compare trends, not scores", style="dim", soft_wrap=True)
    out.print(_frame(layout(view)))
    here = [claim for claim in view.claims if claim.place == "local"]
    if here:
        out.print(_claims(here))
    for note in view.notes:
        out.print(escape(note), soft_wrap=True)
    for found in view.provenance:
        out.print(escape(words.origin(found)), style="dim", soft_wrap=True)
    if view.counted:
        out.print(f"counts: {escape(view.counted)}", style="dim", soft_wrap=True)
    for problem in view.problems:
        out.print(escape(problem), style="yellow", soft_wrap=True)


def _frame(grid: Grid) -> Frame:
    frame = Frame(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(grid.header):
        frame.add_column(
            escape(name), justify="right" if 1 < i < len(grid.header) - 1 else "left", no_wrap=i < len(grid.header) - 1
        )
    for line in grid.lines:
        middle = [] if grid.tall else [f"[dim]{escape(line.what)}[/]"]
        frame.add_row(f"[bold]{escape(line.head)}[/]", *middle, *map(escape, line.cells), _coloured(line.verdict))
    return frame


def _coloured(word: str) -> str:
    colour = COLOURS.get(word)
    return f"[{colour}]{escape(word)}[/]" if colour else escape(word)


def _claims(claims: list[ClaimView]) -> Frame:
    frame = Frame(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("claim (local records)", "verdict", "what decides"):
        frame.add_column(name, overflow="fold")
    for claim in claims:
        frame.add_row(escape(claim.says), _coloured(claim.verdict), escape(words.evidence(claim)))
    return frame
