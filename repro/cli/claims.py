"""`repro claims` and `repro audit`: which sentences hold on the records, and where the paper disagrees with itself."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from repro.cli import options
from repro.cli.options import out
from repro.config import profiles
from repro.config.machine import Machine
from repro.paper.audit import whole
from repro.paper.tables import all_tables
from repro.report import compare
from repro.report import text as words
from repro.results import records
from repro.results.claims import ClaimView
from repro.results.counts import load_counts
from repro.results.scores import Evidence
from repro.runner.plan import fills


@click.command()
@options.profile
@click.option("--local", is_flag=True, help="judge by runs/local, not by runs/reference")
@options.runs
@options.as_json
def claims(*, profile: str, local: bool, runs: Path, as_json: bool) -> None:
    """Say which sentences of the paper hold, fail or stay undecided on the records."""
    show_claims(out, profile, runs, "local" if local else "reference", as_json=as_json)


@click.command()
@options.as_json
def audit(*, as_json: bool) -> None:
    """Check the paper against itself: every disagreement found by arithmetic, every open reading."""
    check_paper(out, as_json=as_json)


COLOURS = {"holds": "green", "fails": "red", "agrees": "green", "disagrees": "red", "open": "yellow"}


def show_claims(out: Console, profile_name: str, runs: Path, place: str, *, as_json: bool) -> None:
    """Print every claim with its verdict from the records of one place."""
    profile = profiles.get(profile_name)
    roots = Machine(runs=runs)
    evidence = Evidence(records.load({"reference": roots.reference, "local": roots.local}))
    counts = load_counts()
    found = [
        claim
        for table in all_tables().values()
        if not table.own or fills(profile, table)
        for claim in compare.compare(table, profile, evidence, counts, all_tables(), (place,)).claims
    ]
    if as_json:
        out.print_json(json.dumps([_plain(asdict(claim)) for claim in found]))
        return
    _board(out, profile.name, place, found)


def _board(out: Console, profile: str, place: str, found: list[ClaimView]) -> None:
    tally = words.summary(Counter(claim.verdict for claim in found)).removesuffix(".")
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


def check_paper(out: Console, *, as_json: bool) -> None:
    """Print the audit: every finding, then what each open reading reproduces and breaks."""
    report = whole(load_counts().values)
    found, options = report.findings, report.readings
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
    out.print("\n[bold]Open readings: which printed numbers each reproduces[/] (* the one taken here)")
    grid = Grid("question", "reading", "reproduces", "breaks", box=None, padding=(0, 2, 0, 0))
    for reading in options:
        mark = "* " if reading.taken else "  "
        grid.add_row(escape(reading.question), mark + escape(reading.option),
                     escape(words.checks(reading.reproduces)), escape(words.checks(reading.breaks)))  # fmt: skip
    out.print(grid)
