"""`repro data`: list, check and fetch data sets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID
from rich.table import Table as Grid

from repro.data import NAMES, counts, splits
from repro.data.check import Line
from repro.data.check import check as look
from repro.machine import from_environment

SHOWN = 20
"""Faults printed; the rest is counted."""


def list_(out: Console, *, as_json: bool) -> None:
    """Print every data set with its splits and the number of images that the paper or its publisher counts."""
    known = {name: {split: counts(name).get(split) for split in splits(name)} for name in NAMES}
    if as_json:
        out.print_json(json.dumps(known))
        return
    grid = Grid(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, found in known.items():
        grid.add_row(f"[bold]{name}[/]", "  ".join(f"{s} {n:,}" if n else s for s, n in found.items()))
    out.print(grid)
    out.print("\nrepro data check NAME --data-root ROOT reads every image and mask (docs/data.md)", style="dim")


def check(out: Console, name: str, data_root: Path | None, *, as_json: bool) -> bool:
    """Read a whole data set and print counts, verdicts and faults; return whether all is well."""
    root, _ = from_environment(data_root, None)
    with _bars(out, quiet=as_json) as progress:
        report = look(name, root, progress)
    if as_json:
        tree = {"dataset": name, "ok": report.ok,
                "lines": [asdict(line) | {"verdict": line.verdict} for line in report.lines]}  # fmt: skip
        out.print_json(json.dumps(tree))
    else:
        _show(out, report.lines)
        for fault in report.faults[:SHOWN]:
            out.print(escape(fault), style="yellow", soft_wrap=True)
        if len(report.faults) > SHOWN:
            out.print(f"and {len(report.faults) - SHOWN:,} more (all of them with --json)")
    return report.ok


@contextmanager
def _bars(out: Console, *, quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Yield what is told (name, done, all or 0) and shows one bar a name; nothing where the output is no terminal."""
    with Progress(console=out, disable=quiet or not out.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=None)
            bar.update(tasks[name], completed=done, total=total or None)

        yield progress


def _show(out: Console, lines: tuple[Line, ...]) -> None:
    grid = Grid("split", "found", "expected", "verdict", box=None, padding=(0, 2, 0, 0))
    for line in lines:
        found, expected = line.found, line.expected
        grid.add_row(line.name, "" if found is None else f"{found:,}",
                     "" if expected is None else f"{expected:,}", line.verdict)  # fmt: skip
    out.print(grid)


def fetch(out: Console, name: str, data_root: Path) -> None:
    """Download a data set's archives, check their sums, unpack them; goes on where it stopped."""
    from repro.data.fetch import fetch as download

    with _bars(out) as progress:
        folder = download(name, data_root, progress)
    out.print(f"{name} lies in {folder}", soft_wrap=True)
