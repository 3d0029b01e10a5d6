"""Results of the audit as frozen values: findings, and interpretations of open questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from repro.paper.schema import Cost

Verdict = Literal["agrees", "disagrees", "open"]


@dataclass(frozen=True)
class Finding:
    """One comparison: the places, the printed statement, the computed one, and whether the two agree.

    ``open`` means that the paper does not decide: it leaves an interpretation, or the reason of a number, unsaid.
    """

    name: str
    places: tuple[str, ...]
    says: str
    computed: str
    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True)
class Check:
    """One printed number or sentence under an interpretation: text, place, and the value that the latter gives."""

    printed: str
    place: str
    cell: str = ""
    """Row and column, where the place is a table."""
    computed: str = ""


@dataclass(frozen=True)
class Reading:
    """One interpretation of an open question; ``taken`` marks the default."""

    question: str
    option: str
    taken: bool
    reproduces: tuple[Check, ...]
    breaks: tuple[Check, ...]


@dataclass(frozen=True)
class Audit:
    """The whole audit: findings, disagreements first, and interpretations, options of one question together."""

    findings: tuple[Finding, ...] = ()
    readings: tuple[Reading, ...] = ()

    def tally(self) -> Counter[str]:
        """Return how many findings have which verdict."""
        return Counter(finding.verdict for finding in self.findings)


CostCounter = Callable[[Cost], int]
"""Counter of a count cell: ``closed_form.count``, or ``repro.models.flops.measure`` on the built modules."""


def decided(agrees: bool) -> Verdict:  # noqa: FBT001 - the one thing it is asked
    """Return the verdict of an equality."""
    return "agrees" if agrees else "disagrees"


def points(value: float) -> str:
    """Write a score or a difference of scores as the paper does: one decimal."""
    return f"{value:.1f}"
