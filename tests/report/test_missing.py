"""What is missing: runs counted once, first stages too, times from records, odd records that do no harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.config.profiles import get
from repro.paper.tables import all_tables, paper_tables
from repro.report.missing import remaining
from repro.results.records import load
from repro.runner import budget
from tests.support import simulate

TABLES = list(paper_tables().values())
SHAPES = get("shapes")


def fill(root: Path, *numbers: int, seeds: int = 3) -> None:
    """Write records of ten seconds for some tables."""
    simulate.fill(root, {n: all_tables()[n] for n in numbers}, lambda *_: 0.5, seeds=seeds)


def test_nothing_was_run(tmp_path: Path) -> None:
    """Without records every run is missing, of unknown length, and the tables' sum counts shared runs once."""
    found = remaining(TABLES[:2], SHAPES, load({"reference": tmp_path}))
    assert [(lack.name, lack.empty, lack.cells, lack.runs) for lack in found.tables] == [
        ("table1", 8, 8, 24),
        ("table2", 8, 8, 24),
    ]
    assert (found.whole.empty, found.whole.runs, found.whole.seconds, found.whole.unknown) == (16, 36, 0, 36)


def test_what_was_run_is_left_out(tmp_path: Path) -> None:
    """Records of two seeds leave the third to do, and tell how long it will take."""
    for run, _ in simulate.runs(TABLES[0], SHAPES).values():
        for seed in range(2):
            simulate.write(tmp_path, run, seed, seconds_total=10.0 + seed)
    found = remaining(TABLES[:1], SHAPES, load({"reference": tmp_path}))
    (lack,) = found.tables
    assert (lack.empty, lack.runs, lack.unknown, lack.seconds) == (0, 8, 0, 8 * 10.5)
    assert lack.flops > 0
    fill(tmp_path / "more", 1)
    assert not remaining(TABLES[:1], SHAPES, load({"reference": tmp_path / "more"})).tables[0].runs


def test_only_the_places_shown_count(tmp_path: Path) -> None:
    """A report of the reference records does not take the local ones for run; one of both does."""
    fill(tmp_path / "local", 1)
    shelf = load({"reference": tmp_path / "reference", "local": tmp_path / "local"})
    assert remaining(TABLES[:1], SHAPES, shelf).whole.runs == 24
    assert remaining(TABLES[:1], SHAPES, shelf, ("reference", "local")).whole.runs == 0


def test_first_stages_are_counted(tmp_path: Path) -> None:
    """The last stage of Table 7 needs the two before it; test servers' tables need no run of their own."""
    found = remaining([all_tables()[7], all_tables()[8]], SHAPES, load({"reference": tmp_path}), seeds=1)
    assert [lack.name for lack in found.tables] == ["table7"]
    assert found.whole.runs == 11


def test_full_scale_is_told_in_operations(tmp_path: Path) -> None:
    """The paper's profile has no times; its operations are those that repro.runner.budget counts."""
    found = remaining(TABLES[:1], get("paper"), load({"reference": tmp_path}), seeds=1)
    runs = [run for run, _ in simulate.runs(TABLES[0], get("paper")).values()]
    assert found.whole.flops == pytest.approx(sum(one.flops for run in runs if (one := budget.of(run))))
    assert found.whole.unknown == found.whole.runs == 8


@pytest.mark.parametrize("seconds", [float("1e308") * 10, -1.0, 0, "ten", None, True, 10**400])
def test_odd_times_are_no_times(tmp_path: Path, seconds: object) -> None:
    """A record whose time cannot be gives no estimate; one whose time JSON does not hold is passed over, too."""
    run = next(run for run, _ in simulate.runs(TABLES[0], SHAPES).values())
    for name in ("cpu_seconds", "seconds_total"):
        simulate.write(tmp_path, run, 0, name=name, head={"threads": 1, "precision": "32-true", name: seconds})
    found = remaining(TABLES[:1], SHAPES, load({"reference": tmp_path}))
    assert found.whole.seconds in {0, 2.0}
    assert found.whole.runs == (24 if seconds in {float("inf"), 10**400} else 23)


def test_records_without_a_usable_head_are_passed_over(tmp_path: Path) -> None:
    """A seed that is no number is no run done."""
    run = next(run for run, _ in simulate.runs(TABLES[0], SHAPES).values())
    simulate.write(tmp_path, run, 0, head={"seed": "zero"})
    assert remaining(TABLES[:1], SHAPES, load({"reference": tmp_path})).whole.runs == 24
