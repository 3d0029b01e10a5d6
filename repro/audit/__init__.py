"""The paper against itself: every finding is computed from what it prints and from the cost of its networks."""

from __future__ import annotations

from repro import formulas
from repro.audit import counts, networks, scores, sizes, unsaid, wording
from repro.audit.finding import Counter, Finding
from repro.audit.readings import Reading, readings

__all__ = ["Counter", "Finding", "Reading", "audit", "readings"]

_ORDER = {"disagrees": 0, "open": 1, "agrees": 2}


def audit(count: Counter = formulas.count) -> tuple[Finding, ...]:
    """Return every finding, disagreements first.

    Args:
        count: how a count cell is counted. The default is closed-form and needs no torch;
            ``repro.cost.measure`` counts the modules themselves and gives the same.
    """
    parts = (scores, counts, networks, sizes, wording, unsaid)
    found = [finding for part in parts for finding in part.find(count)]
    return tuple(sorted(found, key=lambda finding: _ORDER[finding.verdict]))
