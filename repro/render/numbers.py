"""Numbers of cells as every format shows them: scores, counts, spreads, intervals, differences."""

from __future__ import annotations

import math

from repro.views import CellView, Outcome, Span

DASH = "–"  # noqa: RUF001 - an en dash stands for "nothing to show"
MINUS = "−"  # noqa: RUF001 - a minus sign lines up with the plus


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
    low, high = (signed(end) if sign else f"{end:.1f}".replace("-", MINUS) for end in found)
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
