"""Tests of repro.paper.audit.networks."""

from __future__ import annotations

import numpy as np
import pytest

from repro.paper.audit.networks import solve_width


@pytest.mark.parametrize("row", ["res-4", "res-5"])
@pytest.mark.parametrize("joined", [1, 2])
def test_width_against_polynomial_roots(row: str, joined: int) -> None:
    """The width at equal parameters is the positive root that numpy finds."""
    k, c, mid = {"res-4": (5, 1024, 256), "res-5": (7, 2048, 512)}[row]
    roots = np.roots([2 * k, 2 * k * c + joined * c, -(2 * c * mid + 9 * mid**2)])
    assert solve_width(row, joined) == pytest.approx(float(max(roots.real)))
