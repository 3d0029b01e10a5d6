"""`repro claims` and `repro audit`: verdicts of the paper's sentences on the records, and its own consistency."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from repro.cli import options
from repro.cli.options import out
from repro.paper.audit import whole
from repro.paper.audit.finding import Verdict
from repro.paper.tables import all_tables, select_tables
from repro.report import compare
from repro.report import text as words
from repro.results import verdicts
from repro.results.claims import ClaimView
from repro.results.counts import load_counts
from repro.results.scores import Scores

FINDINGS = get_args(Verdict)


def _verdicts(known: Iterable[str]) -> Callable[[options.F], options.F]:
    return click.option(
        "--verdict", "wanted", type=options.Choice(tuple(known)), multiple=True, help="only these; may be repeated"
    )


@click.command()
@options.some_tables
@options.profile
@options.local
@_verdicts(verdicts.CLAIMS)
@options.runs
@options.as_json
def claims(
    *, tables: tuple[str, ...], profile: str, local: bool, wanted: tuple[str, ...], runs: Path, as_json: bool
) -> None:
    """Say which sentences of the paper hold, fail or stay undecided on the records.

    TABLE is table2, 2, 1,3-5 or all; all where none is named.
    """
    place = "local" if local else "reference"
    request = options.Request(tables or ("all",), profile, runs=runs)
    show_claims(out, request, place, wanted or tuple(verdicts.CLAIMS), as_json=as_json)


@click.command()
@options.some_tables
@_verdicts(FINDINGS)
@options.as_json
def audit(*, tables: tuple[str, ...], wanted: tuple[str, ...], as_json: bool) -> None:
    """Check the paper against itself: arithmetic disagreements, and interpretations of open questions.

    TABLE is table2, 2, 1,3-5 or all; all where none is named, with the findings on no table.
    """
    check_paper(out, tables, wanted or FINDINGS, as_json=as_json)


COLOURS = {"holds": "green", "fails": "red", "agrees": "green", "disagrees": "red", "open": "yellow"}


def show_claims(out: Console, request: options.Request, place: str, wanted: Sequence[str], *, as_json: bool) -> None:
    """Print the claims of some tables that have one of the wanted verdicts by the records of one origin."""
    profile, evidence, counts = request.resolved, Scores(request.shelf), load_counts()
    found = [
        claim
        for table in request.selected
        for claim in compare.compare(table, profile, evidence, counts, all_tables(), (place,)).claims
        if claim.verdict in wanted
    ]
    if as_json:
        out.print_json(json.dumps([_plain(asdict(claim)) for claim in found]))
        return
    _board(out, profile.name, place, found)


def _board(out: Console, profile: str, place: str, found: list[ClaimView]) -> None:
    tally = words.summary(Counter(claim.verdict for claim in found)).removesuffix(".") or "no such claim"
    out.print(f"[bold]{profile}[/] · {tally} (the {place} records)", soft_wrap=True)
    grid = Grid("", "claim", "section", "verdict", "what decides", box=None, padding=(0, 2, 0, 0))
    for claim in found:
        verdict = f"[{COLOURS.get(claim.verdict, 'dim')}]{claim.verdict}[/]"
        grid.add_row(
            claim.own or f"T{claim.table}", escape(claim.says), claim.where, verdict, escape(words.evidence(claim))
        )
    out.print(grid)


def _plain(tree: Any) -> Any:  # noqa: ANN401 - a tree of plain values
    """Replace nan and infinities, which JSON lacks, by null."""
    if isinstance(tree, dict):
        return {name: _plain(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_plain(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def _concerns(places: Iterable[str], numbers: set[int]) -> bool:
    """Say whether one of some places, such as ``table 2, caption`` or ``tables 2 to 4``, is one of the tables."""
    spans = re.findall(r"tables? (\d+)(?: to (\d+))?", "; ".join(places))
    return any(numbers & set(range(int(first), int(last or first) + 1)) for first, last in spans)


def check_paper(out: Console, tables: Sequence[str], wanted: Sequence[str], *, as_json: bool) -> None:
    """Print the findings of some tables (all without any) by verdict, and the interpretations of open questions."""
    report = whole(load_counts().values)
    found = tuple(finding for finding in report.findings if finding.verdict in wanted)
    options = report.readings if "open" in wanted else ()
    if tables:
        numbers = {table.number for table in select_tables(list(tables))}
        found = tuple(finding for finding in found if _concerns(finding.places, numbers))
        asked = {r.question for r in options if _concerns((c.place for c in (*r.reproduces, *r.breaks)), numbers)}
        options = tuple(reading for reading in options if reading.question in asked)
    report = replace(report, findings=found, readings=options)
    if as_json:
        tree = {"findings": [asdict(f) for f in found], "readings": [asdict(r) for r in options]}
        out.print_json(json.dumps(tree))
        return
    out.print(f"[bold]{words.audited(report)}[/]", soft_wrap=True)
    for finding in found:
        out.print(
            f"\n[{COLOURS[finding.verdict]}]{finding.verdict:>9}[/]  [bold]{escape(finding.name)}[/]"
            f"  [dim]{escape('; '.join(finding.places))}[/]",
            soft_wrap=True,
        )
        for text in (finding.says, finding.computed, finding.detail):
            if text:
                out.print(f"           {escape(text)}", soft_wrap=True)
    if not options:
        return
    out.print("\n[bold]Open questions: the reported numbers that each interpretation reproduces[/] (* default)")
    grid = Grid("question", "interpretation", "reproduces", "breaks", box=None, padding=(0, 2, 0, 0))
    for reading in options:
        mark = "* " if reading.taken else "  "
        grid.add_row(escape(reading.question), mark + escape(reading.option),
                     escape(words.checks(reading.reproduces)), escape(words.checks(reading.breaks)))  # fmt: skip
    out.print(grid)
