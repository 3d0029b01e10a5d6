"""Pins: the key of every record and cell, a hash of every rendered file; what should move none of them shows it here.

A change that means to move one of them renews the pins, and the difference in ``golden/pins.json`` is reviewed with it:

    REPRO_GOLDEN=write python -m pytest tests/test_pinned.py

The committed pages themselves are held by ``test_report.py``, the pixels of the generated data by ``test_shapes.py``,
the diagrams of built networks by ``test_figures.py``.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from repro.cli.figure import show
from repro.config import profiles
from repro.figures import all_figures, build, style
from repro.paper.schema import Score, Submitted
from repro.paper.tables import all_tables
from repro.report.build import main
from repro.results import records
from repro.results.restore import run_of
from tests.support import ROOT

PINS = ROOT / "tests" / "golden" / "pins.json"
PLOTS = ("boundary_profile", "class_gains", "cost_curve", "field_area", "kernel_curve", "training_curves")
"""Figures of records and closed forms; the others need torch, or weights that the repository does not hold."""


def hold(part: str, found: dict[str, str]) -> None:
    """Compare one part of the pins with what there is now, or write it where REPRO_GOLDEN says so."""
    pins: dict[str, dict[str, str]] = json.loads(PINS.read_text(encoding="utf-8")) if PINS.exists() else {}
    if os.environ.get("REPRO_GOLDEN") == "write":
        text = json.dumps(pins | {part: found}, indent=1, sort_keys=True, ensure_ascii=False)
        PINS.write_text(text + "\n", encoding="utf-8", newline="\n")
        return
    held = pins[part]
    moved = sorted(name for name in held.keys() | found.keys() if held.get(name) != found.get(name))
    assert not moved, f"{len(moved)} of {len(held)} {part} differ from {PINS.name}: {moved[:5]}"


def digest(data: bytes) -> str:
    """Return the start of a file's sha256."""
    return hashlib.sha256(data).hexdigest()[:16]


def rounded(value: Any) -> Any:
    """Return a tree with five digits of each float: another processor may round the seventh otherwise."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return {name: rounded(item) for name, item in value.items()} if isinstance(value, dict) else value


def test_keys_of_the_reference_records() -> None:
    """Each record's spec still gives the run that it names, under the same key."""
    shelf = records.load({"reference": ROOT / "runs" / "reference"})
    assert not shelf.passed_over
    hold("records", {record.name: run_of(record).key for record in shelf.records})


def test_keys_of_the_cells() -> None:
    """Each cell of a table, and each training of a figure, asks for the same run in every profile."""
    found = {}
    for profile in profiles.PROFILES.values():
        for table in all_tables().values():
            for row in table.rows:
                for column, cell in zip(table.columns, row.cells, strict=True):
                    if isinstance(cell, Score | Submitted):
                        run = profile.resolve(cell.training, cell.evaluation)
                        found[f"{profile.name}/{table.name}/{row.label}/{column}"] = run.key if run else "none"
        for figure in all_figures().values():
            for i, training in enumerate(figure.trainings):
                run = profile.resolve(training)
                found[f"{profile.name}/{figure.name}/{i}"] = run.key if run else "none"
    hold("cells", found)


def test_rendered_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page of every profile has the same bytes, rendered from the reference records into an empty folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "figures").symlink_to(ROOT / "figures")  # the pages name those that there are
    assert main(["--runs", str(ROOT / "runs"), "--format", "md,tex,csv,json,html"]) == 0
    paths = sorted(path for path in (tmp_path / "tables").rglob("*") if path.is_file())
    hold("pages", {path.relative_to(tmp_path).as_posix(): digest(path.read_bytes()) for path in paths})


def test_what_the_figures_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of every plot, from the reference records; nothing is drawn into a file."""
    monkeypatch.setattr(style, "save", lambda _, stem: stem.parent.mkdir(parents=True, exist_ok=True) or [])
    request = build.Request(PLOTS, runs=ROOT / "runs", out=tmp_path / "figures")
    assert show(Console(quiet=True), request) == 0
    trees = {
        name: rounded(json.loads((tmp_path / "figures" / f"{name}.json").read_text(encoding="utf-8"))) for name in PLOTS
    }
    hold("figures", {name: digest(json.dumps(tree, sort_keys=True).encode()) for name, tree in trees.items()})
