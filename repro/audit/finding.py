"""What the parts of the audit share: how counts are counted, the verdict of an equality, scores written as in print."""

from __future__ import annotations

from collections.abc import Callable

from repro.findings import Verdict
from repro.spec import Cost

Counter = Callable[[Cost], int]
"""How a count cell is counted: ``repro.formulas.count``, or ``repro.cost.measure`` on the modules themselves."""


def decided(agrees: bool) -> Verdict:  # noqa: FBT001 - the one thing it is asked
    """Return the verdict of an equality."""
    return "agrees" if agrees else "disagrees"


def points(value: float) -> str:
    """Write a score or a difference of scores as the paper does: one decimal."""
    return f"{value:.1f}"
