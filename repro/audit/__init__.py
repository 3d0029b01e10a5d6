"""The paper against itself: every finding is computed from what it prints and from the cost of its networks."""

from __future__ import annotations

from collections.abc import Mapping

from repro import formulas
from repro.audit import counts, networks, scores, sizes, unsaid, wording
from repro.audit.finding import Counter
from repro.audit.readings import readings
from repro.findings import Audit, Finding, Reading
from repro.keys import key
from repro.spec import Cost

__all__ = ["Audit", "Counter", "Finding", "Reading", "audit", "readings", "whole"]

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


def whole(stored: Mapping[str, int | str] | None = None) -> Audit:
    """Return findings and readings together, as a report shows them.

    Args:
        stored: counts read off the built modules, by the key of their cell (``repro.counts.Counts``). What is
            not among them is counted in closed form.
    """
    held = stored or {}

    def count(cost: Cost) -> int:
        found = held.get(key(cost))
        return found if isinstance(found, int) else formulas.count(cost)

    return Audit(audit(count), readings())
