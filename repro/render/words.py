"""Sentences as every format shows them: claims, provenance, audit, what the tables come to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from repro import verdicts
from repro.findings import Audit, Check, Reading
from repro.plural import many
from repro.render import numbers, remaining
from repro.views import ClaimView, Effect, Outcome, Provenance, Remaining, TableView

OWN = "This table is the suite's own: the paper does not print it, so nothing stands beside what was measured."
PLURALS = {"holds": "hold", "fails": "fail", "matches": "match", "differs": "differ"}
"""Verdicts that are verbs, as they follow a number above one."""


def unit(view: TableView) -> str:
    """Return the unit of a table's scores, as the end of a sentence; empty where it is no share."""
    return "" if any(cell.metric == "train_loss" for cell in view.cells()) else "; scores in per cent"


def effect(found: Effect) -> str:
    """Return a comparison's estimate and interval, with what it has to exceed."""
    if found.missing:
        return "missing: " + ", ".join(found.missing)
    if found.exact:
        places = 0 if abs(found.estimate) >= 1000 else 1  # noqa: PLR2004 - counts, not points
        return numbers.signed(found.estimate, places)
    if not math.isfinite(found.low):
        return f"{numbers.signed(found.estimate)} (no interval)"
    return f"{numbers.signed(found.estimate)} [{numbers.signed(found.low)}, {numbers.signed(found.high)}]"


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
    return f"{found.place}: {many(len(found.runs), 'run')}; {named}"


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


def summary(found: Counter[str]) -> str:
    """Return how many claims have which verdict, in one sentence; empty for none."""
    said = ", ".join(counted(found[word], word) for word in verdicts.CLAIMS if found[word])
    return f"{sum(found.values())} claims: {said}." if said else ""


def counted(number: int, word: str) -> str:
    """Return how many have a verdict: ``1 holds``, ``27 hold``, ``15 undecided``."""
    return f"{number} {after(number, word)}"


def after(number: int, word: str) -> str:
    """Return a verdict as it follows a number."""
    return word if number == 1 else PLURALS.get(word, word)


def glance(views: tuple[TableView, ...], lacks: tuple[Remaining, ...] = ()) -> tuple[str, ...]:
    """Return what the tables come to: a sentence on claims, on counts, on scores, and on what was not run."""
    claims = Counter(claim.verdict for view in views for claim in view.claims)
    cells = [cell for view in views for cell in view.cells() if cell.outcomes]
    counts = Counter(cell.outcomes[0].verdict for cell in cells if cell.kind in {"cost", "layout"} and cell.printed)
    told = f"{counts['matches']} of {counts.total()} counts and layouts match the print" if counts else ""
    differs = f", {counted(counts['differs'], 'differs')}" if counts["differs"] else ""
    scores = [cell for cell in cells if cell.kind == "score"]
    run = [o for cell in scores for o in cell.outcomes if o.status == "measured"]
    seeds = sorted({len(o.measurement.samples) for o in run if o.measurement})
    filled = sum(any(o.status == "measured" for o in cell.outcomes) for cell in scores)
    return tuple(
        text
        for text in (
            summary(claims),
            f"{told}{differs}." if told else "",
            f"{filled} of {len(scores)} scores measured{_of_seeds(seeds)}{_against(run)}." if scores else "",
            *(f"Still to run, up to {lack.seeds} seeds a cell: {remaining.runs(lack.whole)}." for lack in lacks[:1]),
            *map(remaining.whole, lacks[1:]),
        )
        if text
    )


def _of_seeds(found: list[int]) -> str:
    if not found:
        return ""
    many = f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"
    return f", over {many} seed{'s' * (found != [1])} each"


def _against(outcomes: list[Outcome]) -> str:
    """Return how scores stand to the print, or that they do not."""
    verdict = Counter(o.verdict for o in outcomes if o.verdict)
    if set(verdict) == {"not comparable"}:
        return "; none of them is comparable with the print, the claims speak"
    said = ", ".join(counted(verdict[word], word) for word in verdicts.CELLS if verdict[word])
    return f": {said}" if said else ""
