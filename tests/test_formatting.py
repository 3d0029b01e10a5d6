"""Tests of repro.formatting: durations, signs, metric prefixes."""

from __future__ import annotations

import math

import pytest

from repro.formatting import DASH, duration, metric, signed


@pytest.mark.parametrize(
    ("seconds", "said"), [(32.0, "32 s"), (700.0, "12 min"), (9000.0, "2.5 h"), (1e5, "28 h"), (1e6, "11.6 days")]
)
def test_lengths_of_time(seconds: float, said: str) -> None:
    """A length has two digits or so in a unit that people count in."""
    assert duration(seconds) == said


def test_minus_and_rounding_to_nothing() -> None:
    """A difference keeps its sign, and what rounds to nothing has none."""
    assert signed(1.25) == "+1.2"
    assert signed(-1234.0, 0) == "−1,234"  # noqa: RUF001 - the sign in question
    assert signed(-0.04) == "0.0"
    assert signed(math.nan) == DASH


@pytest.mark.parametrize(("number", "text"), [(0, "0.0"), (950, "950.0"), (44_300, "44.3 k"), (9.79e18, "9.8 E")])
def test_numbers_have_the_prefix_that_suits_them(number: float, text: str) -> None:
    """So that a small network does not show as 0.0 M."""
    assert metric(number) == text
