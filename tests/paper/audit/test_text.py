"""Tests of repro.paper.audit.text."""

from __future__ import annotations

import numpy as np
import pytest

from repro.paper.audit.text import seen


@pytest.mark.parametrize(("k", "side"), [(15, 16), (25, 25), (3, 16), (31, 16), (1, 4)])
def test_share_seen_against_a_loop(k: int, side: int) -> None:
    """The share of the map that a cell sees is what counting pairs of cells gives."""
    cells = np.arange(side)
    near = np.abs(cells[:, None] - cells[None, :]) <= k // 2
    assert seen(k, side) == pytest.approx(near.mean() ** 2)
