"""What the audit says: one comparison of the paper with itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from repro.spec import Cost

Verdict = Literal["agrees", "disagrees", "open"]
Counter = Callable[[Cost], int]
"""How a count cell is counted: ``repro.formulas.count``, or ``repro.cost.measure`` on the modules themselves."""


@dataclass(frozen=True)
class Finding:
    """One comparison: where, what is printed there, what follows by arithmetic, and whether the two agree.

    ``open`` means that the print does not decide: the sentence leaves a reading, or the number a reason, unsaid.
    """

    name: str
    places: tuple[str, ...]
    says: str
    computed: str
    verdict: Verdict
    detail: str = ""


def decided(agrees: bool) -> Verdict:  # noqa: FBT001 - the one thing it is asked
    """Return the verdict of an equality."""
    return "agrees" if agrees else "disagrees"


def points(value: float) -> str:
    """Write a score or a difference of scores as the paper does: one decimal."""
    return f"{value:.1f}"
