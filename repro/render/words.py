"""Numbers and sentences as every format shows them: scores, counts, spreads, intervals, provenance."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import groupby

from repro.findings import Audit, Check, Reading
from repro.views import CellView, ClaimView, Effect, Outcome, Provenance, Span

DASH = "–"  # noqa: RUF001 - an en dash stands for "nothing to show"
MINUS = "−"  # noqa: RUF001 - a minus sign lines up with the plus

OWN = "This table is the suite's own: the paper does not print it, so nothing stands beside what was measured."


def signed(value: float, decimals: int = 1) -> str:
    """Return a difference with its sign; a dash for nan. What rounds to nothing has no sign."""
    if not math.isfinite(value):
        return DASH
    text = f"{abs(value):,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        return text
    return ("+" if value > 0 else MINUS) + text


def decimals(cell: CellView) -> int:
    """Return the printed precision of a cell: one place where nothing is printed."""
    return cell.printed.decimals if cell.printed and cell.printed.value is not None else 1


def value(cell: CellView, outcome: Outcome) -> str:
    """Return what was measured without its spread, or the status where there is no number."""
    if outcome.words:
        return outcome.words
    if not math.isfinite(outcome.value):
        return stated(outcome)
    if cell.kind == "cost":
        return count(cell, outcome.value)
    return f"{outcome.value:.{decimals(cell)}f}"


def count(cell: CellView, number: float) -> str:
    """Return a count in the printed unit: whole parameters, or millions of multiply-adds."""
    if cell.printed and cell.printed.unit == "MFLOPs":
        return f"{number / 1e6:,.0f}"
    return f"{number:,.0f}"


def stated(outcome: Outcome) -> str:
    """Return the status in words, with the number of seeds that diverged."""
    found = outcome.measurement
    if found is None:
        return outcome.status
    if outcome.status == "diverged":
        return f"diverged ({len(found.diverged)} of {len(found.records)})"
    return f"{outcome.status} ({len(found.interrupted)} interrupted)" if found.interrupted else outcome.status


def seeds(outcome: Outcome) -> str:
    """Return the number of seeds behind a mean, and what became of the others."""
    found = outcome.measurement
    if found is None or not found.samples:
        return ""
    lost = [
        f"{len(runs)} {word}"
        for runs, word in ((found.diverged, "diverged"), (found.interrupted, "interrupted"))
        if runs
    ]
    n = len(found.samples)
    return f"({n} of {len(found.records)}; {', '.join(lost)})" if lost else f"({n})"


def deviation(cell: CellView, outcome: Outcome) -> str:
    """Return the standard deviation over seeds; empty where there is none."""
    found = outcome.measurement
    return f"{found.std:.{decimals(cell)}f}" if found and math.isfinite(found.std) else ""


def spread(cell: CellView, outcome: Outcome) -> str:
    """Return ``± s (n)``; without a spread the number of seeds alone."""
    found = outcome.measurement
    if found is None or not found.samples:
        return ""
    own = f"± {found.std:.{decimals(cell)}f} " if math.isfinite(found.std) else ""
    return own + seeds(outcome)


def span(found: Span | None, *, sign: bool = False) -> str:
    """Return an interval in brackets, of a difference with signs; empty where there is none."""
    if found is None:
        return ""
    low, high = (signed(end) if sign else f"{end:.1f}" for end in found)
    return f"[{low}, {high}]"


def measured(cell: CellView, outcome: Outcome) -> str:
    """Return ``mean ± spread (seeds)``, a count, or the status."""
    return f"{value(cell, outcome)} {spread(cell, outcome)}".strip()


def difference(cell: CellView, outcome: Outcome) -> str:
    """Return ours minus printed, in the printed unit; empty where the two are not comparable."""
    if not math.isfinite(outcome.difference):
        return ""
    if cell.kind != "cost":
        return signed(outcome.difference, decimals(cell))
    millions = cell.printed is not None and cell.printed.unit == "MFLOPs"
    return signed(outcome.difference / 1e6 if millions else outcome.difference, 0)


def effect(found: Effect) -> str:
    """Return a comparison's estimate and interval, with what it has to exceed."""
    if found.missing:
        return "missing: " + ", ".join(found.missing)
    if found.exact:
        places = 0 if abs(found.estimate) >= 1000 else 1  # noqa: PLR2004 - counts, not points
        return signed(found.estimate, places)
    if not math.isfinite(found.low):
        return f"{signed(found.estimate)} (no interval)"
    return f"{signed(found.estimate)} [{signed(found.low)}, {signed(found.high)}]"


def evidence(claim: ClaimView) -> str:
    """Return what decided a claim, in one line."""
    found = claim.deciding
    if found is None:
        return claim.note
    bound = "" if found.bounds == "> 0" else f", must be {found.bounds}"
    images = "" if found.exact or found.seeds != 1 else ", over images only"
    parts = [f"{found.text}: {effect(found)}{images}{bound}", found.note, claim.note]
    return "; ".join(part for part in parts if part)


def tally(claim: ClaimView) -> str:
    """Return how many of a claim's comparisons are shown, such as ``6 of 7``."""
    shown = sum(found.state == "true" for found in claim.effects)
    return f"{shown} of {len(claim.effects)}"


def origin(found: Provenance) -> str:
    """Return the provenance line of one place."""
    parts = [
        ("recipe", found.recipes),
        ("steps", found.steps),
        ("seeds", found.seeds),
        ("data", found.data),
        ("device", found.devices),
        ("precision", found.precision),
        ("torch", found.torch),
        ("commit", found.commits),
    ]
    named = "; ".join(f"{name} {', '.join(values)}" for name, values in parts if values)
    return f"{found.place}: {len(found.runs)} run{'s' * (len(found.runs) != 1)}; {named}"


def checks(found: Iterable[Check]) -> str:
    """Return printed numbers by their place, each with what the reading gives: ``table 2: 260K (260,694), ...``."""
    parts = []
    for place, group in groupby(found, key=lambda check: check.place):
        parts.append(f"{place}: {', '.join(map(_checked, group))}")
    return "; ".join(parts)


def _checked(check: Check) -> str:
    same = check.computed in ("", check.printed)
    return check.printed if same else f"{check.printed}\u00a0({check.computed})"


def reproduced(reading: Reading) -> str:
    """Return how many of the printed numbers that it was held against a reading gives, such as ``10 of 12``."""
    return f"{len(reading.reproduces)} of {len(reading.reproduces) + len(reading.breaks)}"


def audited(audit: Audit) -> str:
    """Return the audit in one sentence."""
    tally = audit.tally()
    questions = len({reading.question for reading in audit.readings})
    return (
        f"{len(audit.findings)} comparisons of the paper with itself: {tally['disagrees']} disagree, "
        f"{tally['open']} are left open, {tally['agrees']} agree; and {questions} open questions, "
        "each with the printed numbers that its readings reproduce and break."
    )
