"""Show tables in the terminal: reported, reference and local side by side, then the claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

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
from repro.report.rows import layout, texts
from repro.report.table_view import TableView
from repro.results.claims import ClaimView
from repro.results.counts import load_counts
from repro.results.records import RecordStore
from repro.results.scores import Scores

if TYPE_CHECKING:
    import pandas as pd

COLOURS = {"matches": "green", "holds": "green", "within": "green", "differs": "red", "fails": "red",
           "outside": "red", "diverged": "yellow"}  # fmt: skip
UNBOUNDED = 10_000
"""Columns of a terminal in which every table has its own width."""


def show_tables(
    out: Console, tables: list[Table], profile: Profile, shelf: RecordStore, wished: Sources | None = None
) -> None:
    """Print tables of a profile from all records; local ones of other data than ``wished`` stand apart."""
    evidence = Scores(shelf, wished or {})
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


def _parts(out: Console, grid: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield a table as it fits the terminal: whole, or a few columns at a time, for a number must never be cut."""
    kinds = grid.columns.get_level_values("kind")
    if "what" not in kinds or _fits(out, grid):
        yield grid
        return
    start, count = 0, sum(kinds == "number")
    while start < count:
        end = count
        while end > start + 1 and not _fits(out, _part(grid, start, end)):
            end -= 1
        yield _part(grid, start, end)
        start = end


def _part(grid: pd.DataFrame, start: int, end: int) -> pd.DataFrame:
    """Return some of the columns of numbers; the verdict stands with the last of them."""
    kinds = grid.columns.get_level_values("kind")
    numbers = [i for i, kind in enumerate(kinds) if kind == "number"]
    hidden = {*numbers[:start], *numbers[end:]}
    part = grid.iloc[:, [i for i in range(len(kinds)) if i not in hidden]]
    return part if end == len(numbers) else part.drop(columns="verdict", level="kind")


def _fits(out: Console, grid: pd.DataFrame) -> bool:
    """Return whether a table fits the width if only its verdicts are broken between words."""
    frame = _frame(grid, lambda verdict: max(verdict.split(), key=len, default=""))
    return Measurement.get(out, out.options.update(width=UNBOUNDED), frame).maximum <= out.width


def _frame(grid: pd.DataFrame, shorten: Callable[[str], str] = str, *, wrapped: bool = False) -> Frame:
    frame = Frame(box=box.SIMPLE_HEAD, pad_edge=False)
    for kind, name in grid.columns:
        justify: Literal["left", "right"] = "right" if kind == "number" else "left"
        frame.add_column(escape(name), justify=justify, no_wrap=not wrapped and kind != "verdict", overflow="fold")
    for line in texts(grid):
        frame.add_row(*(_styled(kind, shorten(text) if kind == "verdict" else text) for kind, text in line))
    return frame


def _styled(kind: str, text: str) -> str:
    if kind == "verdict":
        return _coloured(text)
    style = {"label": "bold", "what": "dim"}.get(kind)
    return f"[{style}]{escape(text)}[/]" if style else escape(text)


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
