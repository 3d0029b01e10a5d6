"""Show tables in the terminal: printed, reference and local side by side, then the claims."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as Frame

from repro.config.identity import Sources
from repro.config.profiles import Profile
from repro.paper.schema import Table
from repro.paper.tables import all_tables
from repro.report import compare
from repro.report import text as words
from repro.report.rows import Grid, layout
from repro.report.table_view import TableView
from repro.results.claims import ClaimView
from repro.results.counts import load_counts
from repro.results.records import Shelf
from repro.results.scores import Evidence

COLOURS = {"matches": "green", "holds": "green", "within": "green", "differs": "red", "fails": "red",
           "outside": "red", "diverged": "yellow"}  # fmt: skip
UNBOUNDED = 10_000
"""Columns of a terminal in which every table has its own width."""


def show_tables(
    out: Console, tables: list[Table], profile: Profile, shelf: Shelf, wished: Sources | None = None
) -> None:
    """Print tables of a profile from all records; local ones of other data than ``wished`` stand apart."""
    evidence = Evidence(shelf, wished or {})
    counts = load_counts()
    for table in tables:
        view = compare.compare(table, profile, evidence, counts, all_tables(), ("reference", "local"))
        show(out, view)


def show(out: Console, view: TableView) -> None:
    """Print one table."""
    out.print(f"\n[bold]{view.profile}[/] · [bold]{view.label}[/]: {escape(view.title)}", soft_wrap=True)
    if view.own:
        out.print(words.OWN, style="dim", soft_wrap=True)
    if not view.comparable:
        out.print("other data than the paper's: compare trends, not scores", style="dim", soft_wrap=True)
    for part in _parts(out, layout(view)):
        out.print(_frame(part, wrapped=not _fits(out, part)))
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


def _parts(out: Console, grid: Grid) -> Iterator[Grid]:
    """Yield a table as it fits the terminal: whole, or a few columns at a time, for a number must never be cut."""
    columns = grid.header[2:-1]
    if grid.tall or _fits(out, grid):
        yield grid
        return
    start = 0
    while start < len(columns):
        end = len(columns)
        while end > start + 1 and not _fits(out, _slice(grid, start, end)):
            end -= 1
        yield _slice(grid, start, end)
        start = end


def _fits(out: Console, grid: Grid) -> bool:
    """Say whether a table has room where its verdicts alone may be broken between words."""
    lines = tuple(replace(line, verdict=max(line.verdict.split(), key=len, default="")) for line in grid.lines)
    frame = _frame(replace(grid, lines=lines))
    return Measurement.get(out, out.options.update(width=UNBOUNDED), frame).maximum <= out.width


def _slice(grid: Grid, start: int, end: int) -> Grid:
    """Return some columns of a table; the verdict stands with the last of them."""
    last = end == len(grid.header) - 3
    lines = tuple(
        replace(line, cells=line.cells[start:end], verdict=line.verdict if last else "") for line in grid.lines
    )
    return Grid((*grid.header[:2], *grid.header[2 + start : 2 + end], grid.header[-1] if last else ""), lines)


def _frame(grid: Grid, *, wrapped: bool = False) -> Frame:
    frame = Frame(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(grid.header):
        frame.add_column(
            escape(name),
            justify="right" if 1 < i < len(grid.header) - 1 else "left",
            no_wrap=not wrapped and i < len(grid.header) - 1,
            overflow="fold",
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
