"""Audit of the paper's consistency: findings are computed from its numbers and from the cost of its networks."""

from __future__ import annotations

from collections.abc import Mapping

from repro.config.hashing import key
from repro.paper.audit import closed_form, counts, networks, scores, text
from repro.paper.audit.finding import Audit, CostCounter, Finding, Reading
from repro.paper.audit.readings import readings
from repro.paper.schema import Cost

__all__ = ["Audit", "Finding", "Reading", "audit", "readings", "whole"]

_ORDER = {"disagrees": 0, "open": 1, "agrees": 2}


def audit(count: CostCounter = closed_form.count) -> tuple[Finding, ...]:
    """Return every finding, disagreements first.

    Args:
        count: counter of a cell. The default is closed-form and needs no torch;
            ``repro.models.flops.measure`` counts the modules themselves and gives the same.
    """
    parts = (scores.find, counts.find, networks.find, text.find_sizes, text.find_wording, scores.find_unsaid)
    found = [finding for part in parts for finding in part(count)]
    return tuple(sorted(found, key=lambda finding: _ORDER[finding.verdict]))


def whole(stored: Mapping[str, int | str] | None = None) -> Audit:
    """Return findings and interpretations together, for a report.

    Args:
        stored: counts of the built modules, by the key of their cell (``repro.results.counts.Counts``). Others are
            counted in closed form.
    """
    held = stored or {}

    def count(cost: Cost) -> int:
        found = held.get(key(cost))
        return found if isinstance(found, int) else closed_form.count(cost)

    return Audit(audit(count), readings())
