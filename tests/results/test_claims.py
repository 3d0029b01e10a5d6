"""Tests of repro.results.claims: each verdict, from records whose difference is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from repro.config.experiment import Run
from repro.config.hashing import key
from repro.config.networks import GCN
from repro.paper.schema import Cited, Claim, Contrast, Cost, Ref, Row, Table, exceeds
from repro.report import text as words
from repro.results.claims import ClaimView, ComparisonContext, judge
from repro.results.records import load
from repro.results.scores import Scores
from tests.support import simulate

COUNTS = {key(Cost(GCN(k))): 2 * k * 21 * (2048 + 21) for k in (3, 7)}


def share(_: Run, order: int, seed: int) -> float:
    """Return 0.4, 0.5, 0.3, 0.35 for the four cells, with a little of each seed."""
    return (0.4, 0.5, 0.3, 0.35)[order] + 0.004 * ((seed * 7 + order) % 3 - 1)


def board(
    root: Path, shares: Callable[[Run, int, int], float] = share, seeds: int = 3, table: Table = simulate.TABLE
) -> dict[str, ClaimView]:
    """Return every claim of the table by name, on records made for it."""
    simulate.fill(root, {2: simulate.TABLE}, shares, seeds=seeds, profile=simulate.PROFILE)
    return judged(root, table)


def judged(root: Path, table: Table = simulate.TABLE) -> dict[str, ClaimView]:
    """Return every claim of the table by name, on the records under ``root``."""
    context = ComparisonContext(simulate.PROFILE, Scores(load({"reference": root})), COUNTS, {2: table})
    return {claim.name: judge(claim, 2, context, "reference") for claim in table.claims}


def test_a_clear_difference_holds(tmp_path: Path) -> None:
    """Ten points over three seeds: the claim holds, and the estimate is the difference of the means."""
    found = board(tmp_path)["gcn-rises"]
    assert found.verdict == "holds"
    (effect,) = found.effects
    assert effect.low < effect.estimate < effect.high
    assert effect.estimate == pytest.approx(10, abs=3)
    assert effect.seeds == 3
    assert effect.images == simulate.IMAGES


def test_a_clear_opposite_fails(tmp_path: Path) -> None:
    """The reverse of a claim that holds fails."""
    found = board(tmp_path, lambda run, order, seed: 0.9 - share(run, order, seed))
    assert found["gcn-rises"].verdict == "fails"
    assert found["gcn-over-conv"].verdict == "fails"


def test_no_difference_is_undecided(tmp_path: Path) -> None:
    """Equal scores whose seeds differ show neither."""
    found = board(tmp_path, lambda _, order, seed: 0.5 + 0.01 * ((seed + order) % 3))
    assert found["gcn-rises"].verdict == "undecided"


def test_one_comparison_of_two_decides_nothing_but_can_refute(tmp_path: Path) -> None:
    """GCN better at 3 and worse at 7: the sentence says both, so it fails."""
    found = board(tmp_path, lambda _, order, seed: (0.5, 0.3, 0.3, 0.5)[order] + 0.003 * (seed % 2))
    claim = found["gcn-over-conv"]
    assert [effect.state for effect in claim.effects] == ["true", "false"]
    assert claim.verdict == "fails"
    assert claim.deciding is claim.effects[1]


def test_one_seed_gives_no_verdict(tmp_path: Path) -> None:
    """However large the difference, one seed leaves the claim undecided and says why."""
    found = board(tmp_path, seeds=1)["gcn-rises"]
    assert found.verdict == "undecided"
    assert "one seed" in found.note
    assert found.effects[0].low > 0


def test_missing_cells_are_named(tmp_path: Path) -> None:
    """A claim over cells that were not run says which."""
    found = board(tmp_path, seeds=0)
    assert found["gcn-rises"].verdict == "not run"
    assert "Score (GCN), k=7" in found["gcn-rises"].note


def test_a_refuted_part_fails_even_where_another_is_missing(tmp_path: Path) -> None:
    """A sentence about two sizes is false once one is shown false."""
    for run, order in simulate.runs(simulate.TABLE, simulate.PROFILE).values():
        if order in (0, 2):
            for seed in range(3):
                simulate.write(tmp_path, run, seed, (0.3, 0, 0.5)[order] + 0.003 * seed)
    assert judged(tmp_path)["gcn-over-conv"].verdict == "fails"


def test_diverged_seeds_are_left_out_aloud(tmp_path: Path) -> None:
    """Where one cell lost a seed, the comparison is over the seeds that all cells have, and says so."""
    for run, order in simulate.runs(simulate.TABLE, simulate.PROFILE).values():
        for seed in range(3):
            lost = order == 0 and seed == 2
            simulate.write(tmp_path, run, seed, share(run, order, seed), status="diverged" if lost else "ok")
    (effect,) = judged(tmp_path)["gcn-rises"].effects
    assert effect.seeds == 2
    assert "1 seed diverged" in effect.note


def test_counts_are_exact(tmp_path: Path) -> None:
    """A claim of counts needs no interval and no record."""
    found = board(tmp_path, seeds=0)["params-rise"]
    assert found.verdict == "holds"
    (effect,) = found.effects
    assert effect.exact
    assert effect.estimate == 608_286 - 260_694
    assert math.isnan(effect.low)


def test_a_count_that_was_never_stored_is_not_run(tmp_path: Path) -> None:
    """Without stored counts the claim is not run; it is not false."""
    context = ComparisonContext(simulate.PROFILE, Scores(load({"reference": tmp_path})), {}, {2: simulate.TABLE})
    assert judge(simulate.TABLE.claims[2], 2, context, "reference").verdict == "not run"


def test_two_bounds(tmp_path: Path) -> None:
    """`between` needs the whole interval inside, and fails where it lies wholly outside."""
    ref, other = simulate.SCORES["GCN"][7], simulate.SCORES["GCN"][3]
    terms = ((1.0, ref), (-1.0, other))
    claims = tuple(
        Claim(name, name, "4", (Contrast(terms, above, below),))
        for name, above, below in (
            ("wide", -30.0, 30.0),
            ("narrow", 8.3, 8.4),
            ("apart", 30.0, 40.0),
            ("open", None, 30.0),
        )
    )
    found = board(tmp_path, table=replace(simulate.TABLE, claims=claims))
    assert {name: claim.verdict for name, claim in found.items()} == {
        "wide": "holds",
        "narrow": "undecided",
        "apart": "fails",
        "open": "holds",
    }


def test_cited_numbers_are_constants(tmp_path: Path) -> None:
    """A printed number of others enters without an error of its own."""
    rows = (*simulate.TABLE.rows[:1], Row("Score (Conv)", (Cited(), Cited())))
    table = replace(simulate.TABLE, rows=rows, claims=simulate.TABLE.claims[1:2])
    found = board(tmp_path, table=table)["gcn-over-conv"]
    assert found.effects[0].estimate == pytest.approx(25 - 69.8, abs=1)
    assert found.verdict == "fails"


def test_a_cell_that_is_no_more_is_named(tmp_path: Path) -> None:
    """A claim over a label that no table has is not run, and the rest is judged."""
    claim = Claim("gone", "gone", "4", (exceeds(Ref("Nowhere", "3"), simulate.SCORES["GCN"][3]),))
    other = Claim("far", "far", "4", (exceeds(Ref("Score", "3", table=99), simulate.SCORES["GCN"][3]),))
    found = board(tmp_path, table=replace(simulate.TABLE, claims=(claim, other)))
    assert found["gone"].verdict == found["far"].verdict == "not run"
    assert "no such cell" in found["gone"].note


@pytest.mark.parametrize(
    ("number", "word", "text"),
    [(1, "holds", "1 holds"), (27, "holds", "27 hold"), (0, "fails", "0 fail"), (2, "undecided", "2 undecided")],
)
def test_verdicts_follow_a_number_as_verbs_do(number: int, word: str, text: str) -> None:
    """One claim holds, several hold."""
    assert words.counted(number, word) == text
