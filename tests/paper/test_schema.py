"""Tests of repro.paper.schema."""

from __future__ import annotations

import pytest

from repro.config.errors import PaperError
from repro.paper import printed as paper
from repro.paper.schema import Claim, Contrast, Ref, exceeds


def test_difference_is_exact() -> None:
    """Decimal differences come without the dust of binary fractions."""
    lead = exceeds(Ref("Score", "15"), Ref("Score", "3"))
    assert paper.difference(lead, 1) == 4.4


@pytest.mark.parametrize(
    ("above", "below", "holds"),
    [(4.3, None, True), (4.4, None, False), (None, 4.5, True), (None, 4.4, False), (4.3, 4.5, True), (4.5, 4.6, False)],
)
def test_verdict_is_strict(above: float | None, below: float | None, holds: bool) -> None:
    """A contrast must lie strictly between its bounds."""
    contrast = Contrast(((1.0, Ref("Score", "15")), (-1.0, Ref("Score", "3"))), above, below)
    assert paper.verdict(Claim("c", "says", "here", (contrast,)), 1) is holds


def test_verdict_needs_every_contrast() -> None:
    """One contrast that fails is enough to deny a claim."""
    a, b = Ref("Score", "3"), Ref("Score", "5")
    assert paper.verdict(Claim("c", "says", "here", (exceeds(b, a),)), 1)
    assert not paper.verdict(Claim("c", "says", "here", (exceeds(b, a), exceeds(a, b))), 1)


def test_other_table() -> None:
    """A reference with a table of its own is looked up there."""
    assert paper.difference(exceeds(Ref("GCN", "Overall (IoU)", table=5), Ref("Score", "15")), 1) == 0


def test_claim_over_nothing() -> None:
    """A claim over a cell that is not printed names the cell."""
    with pytest.raises(PaperError, match=r"table 1: .*row 'Score', column '17'"):
        paper.number(1, "Score", "17")
