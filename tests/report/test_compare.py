"""Tests of repro.report.compare: every status and verdict of a cell, gains, provenance, stored counts."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from repro.config.experiment import Evaluation, Training
from repro.config.hashing import key
from repro.config.networks import GCN, Classifier, Model
from repro.config.profiles import Profile
from repro.paper.schema import Cited, Cost, Layout, Row, Score, Submitted, Table
from repro.report.compare import compare
from repro.report.table_view import CellView, TableView
from repro.results.counts import Counts, load_counts
from repro.results.records import RecordStore, load
from tests.support import simulate

COUNTS = Counts({key(Cost(GCN(k))): 2 * k * 21 * (2048 + 21) for k in (3, 7)}, "2.11.0")


def view(
    root: Path, table: Table = simulate.TABLE, profile: Profile = simulate.PROFILE, **options: object
) -> TableView:
    """Return the table on the records under ``root``."""
    return compare(table, profile, load({"reference": root}), COUNTS, **options)  # type: ignore[arg-type]


def cell(found: TableView, row: str, column: str) -> CellView:
    """Return one cell by its labels."""
    return next(c for c in found.cells() if (c.row, c.column) == (row, column))


def filled(root: Path, profile: Profile = simulate.PROFILE, shift: float = 0.0) -> TableView:
    """Return the table with three seeds in each cell."""
    simulate.fill(
        root, {2: simulate.TABLE}, lambda _, order, seed: 0.8 + shift + 0.01 * order + 0.001 * seed, profile=profile
    )
    return view(root, profile=profile)


def test_counts_match_the_print(tmp_path: Path) -> None:
    """260,694 against 260K: the count, the difference and the verdict."""
    found = cell(view(tmp_path), "# of Params (GCN)", "3")
    (outcome,) = found.outcomes
    assert (outcome.value, outcome.difference, outcome.verdict) == (260_694, 694, "matches")


def test_a_missing_count_is_not_run(tmp_path: Path) -> None:
    """A count that nobody stored is not run, and no number."""
    found = compare(simulate.TABLE, simulate.PROFILE, load({"reference": tmp_path}), Counts({}))
    (outcome,) = cell(found, "# of Params (GCN)", "3").outcomes
    assert outcome.status == "not run"
    assert math.isnan(outcome.value)


def test_small_profiles_are_not_comparable(tmp_path: Path) -> None:
    """Outside ``paper`` a score has no verdict in absolute terms and no difference, but a gain."""
    found = cell(filled(tmp_path), "Score (GCN)", "7")
    (outcome,) = found.outcomes
    assert outcome.verdict == "not comparable"
    assert math.isnan(outcome.difference)
    assert outcome.gain > 0
    assert found.gain_printed == pytest.approx(72.8 - 70.1)


def test_the_paper_profile_is_compared(tmp_path: Path) -> None:
    """In ``paper`` a score has a difference and the verdict of the equivalence test."""
    found = cell(filled(tmp_path, simulate.PAPER), "Score (GCN)", "3")
    (outcome,) = found.outcomes
    assert outcome.difference == pytest.approx(outcome.value - 70.1)
    assert outcome.verdict == "outside"


def test_one_seed_in_the_paper_profile(tmp_path: Path) -> None:
    """One seed gives no verdict even there."""
    run = next(run for run, _ in simulate.runs(simulate.TABLE, simulate.PAPER).values())
    simulate.write(tmp_path, run, 0)
    assert cell(view(tmp_path, profile=simulate.PAPER), "Score (GCN)", "3").outcomes[0].verdict == "one seed"


def test_cells_that_nothing_fills(tmp_path: Path) -> None:
    """Not run, no data, cited, awaiting the test server, empty: each is named, none has a number."""
    training = Training(Model(GCN(3)))
    cells = (
        Score(training),
        Score(Training(Model(GCN(3)), data="nowhere")),
        Cited(),
        Submitted(training, Evaluation(), "voc"),
        Layout(Classifier(), "res2"),
    )
    table = replace(simulate.TABLE, columns=tuple("abcdef"), rows=(Row("r", (*cells, None)),), claims=())
    found = view(tmp_path, table)
    states = [c.outcomes[0].status if c.outcomes else "empty" for c in found.cells()]
    assert states == ["not run", "no data", "cited", "awaiting the test server", "not run", "empty"]
    assert all(math.isnan(outcome.value) for c in found.cells() for outcome in c.outcomes)


def test_layouts_are_compared_as_words(tmp_path: Path) -> None:
    """A stored layout stands as text beside the printed one."""
    layout = Layout(Classifier("resnet50"), "res-2")
    table = Table(11, "t", "Component", ("Output Size", "ResNet50"), (Row("res-2", (None, layout)),))
    stored = Counts({key(layout): "[1 x 1, 64; 3 x 3, 64; 1 x 1, 256] x 3"})
    found = compare(table, simulate.PROFILE, load({"reference": tmp_path}), stored)
    assert cell(found, "res-2", "ResNet50").outcomes[0].verdict == "matches"


def test_reference_and_local_stand_side_by_side(tmp_path: Path) -> None:
    """Each place has its own outcome, and the claims are judged for each."""
    for place, shift in (("reference", 0.0), ("local", 0.05)):
        simulate.fill(
            tmp_path / place,
            {2: simulate.TABLE},
            lambda _, order, __, s=shift: 0.5 + s + 0.01 * order,
            profile=simulate.PROFILE,
        )
    shelf = load({place: tmp_path / place for place in ("reference", "local")})
    found = compare(simulate.TABLE, simulate.PROFILE, shelf, COUNTS, places=("reference", "local"))
    reference, local = cell(found, "Score (GCN)", "3").outcomes
    assert local.value > reference.value
    assert [claim.place for claim in found.claims[:2]] == ["reference", "local"]
    assert [origin.place for origin in found.provenance] == ["reference", "local"]


def test_provenance_names_what_was_used(tmp_path: Path) -> None:
    """Recipe, steps, seeds, data, device, commit and torch of the records shown, each once."""
    (origin,) = filled(tmp_path).provenance
    assert origin.recipes == ("fast",)
    assert origin.steps == ("10",)
    assert origin.seeds == ("0", "1", "2")
    assert origin.data == ("tiny feedbeef",)
    assert origin.commits == ("0123456789",)
    assert len(origin.runs) == 12


def test_no_record_is_shown_as_zero() -> None:
    """An empty shelf fills no cell with a number."""
    found = compare(simulate.TABLE, simulate.PROFILE, RecordStore(()), Counts({}))
    assert all(math.isnan(o.value) and math.isnan(o.difference) for c in found.cells() for o in c.outcomes)


def test_stored_counts_are_read(tmp_path: Path) -> None:
    """Integers and layouts by key, with torch's version and the convention."""
    path = tmp_path / "counts.json"
    path.write_text(json.dumps({"torch": "2.15", "convention": "said", "counts": {"a": 1, "b": "word", "c": 1.5}}))
    assert load_counts(path) == Counts({"a": 1, "b": "word"}, "2.15", "said")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"counts": 3}', "{}"])
def test_damaged_counts_are_named(tmp_path: Path, text: str) -> None:
    """A damaged file gives no count, and the table says why."""
    path = tmp_path / "counts.json"
    path.write_text(text)
    found = load_counts(path)
    assert not found.values
    assert "counts.json" in compare(simulate.TABLE, simulate.PROFILE, RecordStore(()), found).problems[0]


def test_no_counts_file_is_no_fault(tmp_path: Path) -> None:
    """Before ``repro cost`` ran there is nothing stored, which is no error."""
    assert load_counts(tmp_path / "counts.json") == Counts({})
