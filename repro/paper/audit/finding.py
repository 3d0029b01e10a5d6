"""What the audit of the paper says, as frozen values that reports show: findings, and readings of open questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from repro.paper.schema import Cost

Verdict = Literal["agrees", "disagrees", "open"]


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


@dataclass(frozen=True)
class Check:
    """One printed number or sentence under a reading: what is printed, where, and what the reading gives instead."""

    printed: str
    place: str
    cell: str = ""
    """Row and column, where the place is a table."""
    computed: str = ""


@dataclass(frozen=True)
class Reading:
    """One way to read an open question. ``taken`` marks the one that the suite takes by default."""

    question: str
    option: str
    taken: bool
    reproduces: tuple[Check, ...]
    breaks: tuple[Check, ...]


@dataclass(frozen=True)
class Audit:
    """The whole audit: every finding, disagreements first, and every reading, options of one question together."""

    findings: tuple[Finding, ...] = ()
    readings: tuple[Reading, ...] = ()

    def tally(self) -> Counter[str]:
        """Return how many findings have which verdict."""
        return Counter(finding.verdict for finding in self.findings)


CostCounter = Callable[[Cost], int]
"""How a count cell is counted: ``closed_form.count``, or ``repro.models.flops.measure`` on the modules themselves."""


def decided(agrees: bool) -> Verdict:  # noqa: FBT001 - the one thing it is asked
    """Return the verdict of an equality."""
    return "agrees" if agrees else "disagrees"


def points(value: float) -> str:
    """Write a score or a difference of scores as the paper does: one decimal."""
    return f"{value:.1f}"
