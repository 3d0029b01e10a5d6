"""Statuses and verdicts of cells and claims, each with its definition; the test of equivalence."""

from __future__ import annotations

import math
from collections.abc import Sequence

MARGIN = 1.0
"""Margin of the equivalence test, in points of mIoU: seeds alone move mIoU by 0.5 to 2 points."""
LEVEL = 0.05
"""Error level of every test and interval."""

STATUSES = {
    "measured": "at least one seed ran to its end",
    "computed": "counted from the architecture alone, no training",
    "diverged": "every seed that ran met a loss that is not finite; a table shows it and gives it no number",
    "no score": "the run ended, but a score is undefined (no pixel or image was counted)",
    "unusable": "there are records, and none that can be trusted; the problems below the table say why",
    "not run": "there is no record for this cell (or no stored count, no measured area)",
    "other data": "there are records, all of other data or start weights than the rest of the table; a note names them",
    "no data": "this profile has no data that could stand for the cell's",
    "awaiting the test server": "labels are secret; only the server's answer can fill the cell",
    "answered": "what the test server answered to our predictions, and the day",
    "cited": "a number that the paper cites from others; it is never run here",
    "empty": "the paper prints nothing here",
}
CELLS = {
    "matches": "the count differs from the print by no more than its last printed place (1K for parameters)",
    "differs": "the count differs from the print by more than that",
    "within": f"equivalent: two one-sided t-tests over seeds reject a distance of {MARGIN} points or more (5 %)",
    "outside": f"the 90 % interval over seeds lies wholly beyond {MARGIN} points from the print",
    "undecided": "neither of the two is shown; more seeds would tell",
    "one seed": "no verdict from a single seed",
    "not comparable": "other data than the paper's: no verdict in absolute terms, the claims speak",
}
CLAIMS = {
    "holds": "every comparison lies on the claimed side with its whole 95 % interval",
    "fails": "at least one comparison lies on the other side with its whole interval, corrected for their number",
    "undecided": "neither; or there is one seed only, from which no verdict is given",
    "not run": "a cell that the claim speaks of has no usable number",
}
FINDINGS = {
    "disagrees": "what is printed in one place contradicts another, or does not follow from the networks",
    "open": "the print does not decide: a reading, or the reason of a number, is left unsaid",
    "agrees": "what is printed follows by arithmetic from the rest of the print or from the networks",
}
"""Verdicts of the audit, which checks the paper for consistency and needs no record."""


def equivalence(values: Sequence[float], printed: float, margin: float = MARGIN, level: float = LEVEL) -> str:
    """Return ``within``, ``outside``, ``undecided`` or ``one seed`` for scores against the paper's.

    Two one-sided t-tests over seeds on the same images (scipy). The paper's score is a constant: its seed noise is
    unknown. ``outside`` needs the opposite test, at the same level, to reject every distance inside the margin.

    Args:
        values: one score per seed, in points.
        printed: the score in the paper, in points.
        margin: largest distance, in points, that counts as the same.
        level: error level of each one-sided test.
    """
    if len(values) == 0 or not all(math.isfinite(value) for value in values):
        return ""
    if len(values) == 1:
        return "one seed"
    low, high = printed - margin, printed + margin
    if _p(values, low, "greater") < level and _p(values, high, "less") < level:
        return "within"
    if _p(values, low, "less") < level or _p(values, high, "greater") < level:
        return "outside"
    return "undecided"


def _p(values: Sequence[float], mean: float, side: str) -> float:
    """Return the p-value of a one-sided t-test; for seeds without any spread, 0 or 1 by the mean alone."""
    if max(values) == min(values):
        beyond = values[0] > mean if side == "greater" else values[0] < mean
        return 0.0 if beyond else 1.0
    from scipy import stats

    return float(stats.ttest_1samp(values, mean, alternative=side).pvalue)
