"""Tests of repro.results.verdicts: each word at its definition's edge."""

from __future__ import annotations

import math

import pytest

from repro.results import verdicts
from repro.results.verdicts import equivalence


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((74.5, 74.6, 74.4), "within"),
        ((74.5, 76.9, 72.0), "undecided"),
        ((70.0, 70.1, 69.9), "outside"),
        ((79.0, 79.1, 78.9), "outside"),
        ((74.5,), "one seed"),
        ((74.5, 74.5), "within"),
        ((76.5, 76.5), "outside"),
        ((), ""),
        ((74.5, math.nan), ""),
    ],
)
def test_scores_against_the_print(values: tuple[float, ...], verdict: str) -> None:
    """Equivalence is shown, refuted, or left open; one seed gives none of them."""
    assert equivalence(values, 74.5) == verdict


def test_equivalence_agrees_with_the_interval() -> None:
    """Two one-sided tests at 5 % are the 90 % t-interval inside the margin."""
    from scipy import stats

    for spread in (0.1, 0.4, 0.8, 1.2):
        values = [74.8 - spread, 74.8, 74.8 + spread]
        low, high = stats.ttest_1samp(values, 74.5).confidence_interval(0.90)
        assert (equivalence(values, 74.5) == "within") == (low > 73.5 and high < 75.5)


def test_every_word_has_one_definition() -> None:
    """No definition is empty, and none stands for two words."""
    for book in (verdicts.STATUSES, verdicts.CELLS, verdicts.CLAIMS):
        assert all(book.values())
        assert len(set(book.values())) == len(book)
