"""Numbers and sentences of every format: scores, intervals, claims, provenance, missing runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from repro.config.profiles import DEFAULT
from repro.formatting import MINUS, duration, many, signed
from repro.paper.audit.finding import Audit, Check, Reading
from repro.report.table_view import CellView, Lack, Outcome, Provenance, Remaining, Span, TableView
from repro.results import metrics, verdicts
from repro.results.claims import ClaimView, Effect
from repro.runner.budget import USUAL

SOURCE = (
    "Computed from what the paper prints, from the suite's specs and from the cost of the networks (in closed form, or "
    "as stored from the built modules). No training and no record enters."
)
LEGEND = "In brackets: what the reading gives. The reading that the suite takes by default is marked."


METHOD = (
    "A comparison is a weighted sum of cells, computed by seed and from the stored counts of every image. Its "
    "95 % interval adds two errors: the mean over seeds moves by Student's t of their spread, and the images "
    "by the bootstrap (2,000 resamples by numpy's multinomial, the same for all cells; the tests hold it "
    "against scipy's). All cells share seeds and images unless a note says otherwise. A claim "
    "that makes several comparisons holds when each is shown at 95 %: all must be, so no correction is due. It "
    "fails when one is refuted, and for that each interval is widened by the number of comparisons "
    "(Bonferroni). Claims are not corrected against one another. With one seed the interval is over images "
    "only, and no verdict is given. Sums of counts are exact."
)

OTHERS = "Records that no table shows"
WHY_OTHERS = "(another length or recipe, a figure's own, or a spec that is no more)"


def decimals(cell: CellView) -> int:
    """Return the reported decimals of a cell: one where the paper reports no number."""
    return cell.printed.decimals if cell.printed and cell.printed.value is not None else 1


def value(cell: CellView, outcome: Outcome) -> str:
    """Return the measured value without its spread, or the status where there is no number."""
    if outcome.words:
        return outcome.words
    if not math.isfinite(outcome.value):
        return stated(outcome)
    if cell.kind == "cost":
        return count(cell, outcome.value)
    return f"{outcome.value:.{decimals(cell)}f}"


def count(cell: CellView, number: float) -> str:
    """Return a count in the reported unit, in single units where the paper has none."""
    return f"{cell.printed.in_unit(number) if cell.printed else number:,.0f}"


def stated(outcome: Outcome) -> str:
    """Return the status in words, with the number of seeds that diverged."""
    found = outcome.measurement
    if found is None:
        return outcome.status
    if outcome.status == "diverged":
        return f"diverged ({len(found.diverged)} of {len(found.records)})"
    return f"{outcome.status} ({len(found.interrupted)} interrupted)" if found.interrupted else outcome.status


def seeds(outcome: Outcome) -> str:
    """Return the number of seeds behind a mean, and of those that diverged or were interrupted."""
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
    """Return ours minus reported, in the reported unit; empty where the two are not comparable."""
    if not math.isfinite(outcome.difference):
        return ""
    if cell.kind != "cost" or cell.printed is None:
        return signed(outcome.difference, decimals(cell))
    return signed(cell.printed.in_unit(outcome.difference), 0)


OWN = "This table is the suite's own: the paper does not print it, so nothing stands beside what was measured."
PLURALS = {"holds": "hold", "fails": "fail", "matches": "match", "differs": "differ"}
"""Verdicts that are verbs, as they follow a number above one."""


def unit(view: TableView) -> str:
    """Return the unit of a table's scores, as the end of a sentence; empty where it is no share."""
    units = {metrics.find(cell.metric).unit for cell in view.cells() if cell.metric}
    return "; scores in per cent" if units <= {"%"} else ""


def effect(found: Effect) -> str:
    """Return a comparison's estimate and interval, or the cells that it is missing."""
    if found.missing:
        return "missing: " + ", ".join(found.missing)
    if found.exact:
        places = 0 if abs(found.estimate) >= 1000 else 1  # noqa: PLR2004 - counts, not points
        return signed(found.estimate, places)
    if not math.isfinite(found.low):
        return f"{signed(found.estimate)} (no interval)"
    return f"{signed(found.estimate)} [{signed(found.low)}, {signed(found.high)}]"


def evidence(claim: ClaimView) -> str:
    """Return the evidence that decided a claim, in one line."""
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
    """Return reported numbers by table or section, each with the computed one: ``table 2: 260K (260,694), ...``."""
    parts = []
    for place, group in groupby(found, key=lambda check: check.place):
        parts.append(f"{place}: {', '.join(map(_checked, group))}")
    return "; ".join(parts)


def _checked(check: Check) -> str:
    same = check.computed in ("", check.printed)
    return check.printed if same else f"{check.printed}\u00a0({check.computed})"


def reproduced(reading: Reading) -> str:
    """Return how many of the reported numbers an interpretation reproduces, such as ``10 of 12``."""
    return f"{len(reading.reproduces)} of {len(reading.reproduces) + len(reading.breaks)}"


def audited(audit: Audit) -> str:
    """Return the audit in one sentence."""
    tally = audit.tally()
    questions = len({reading.question for reading in audit.readings})
    return (
        f"{many(len(audit.findings), 'comparison')} of the paper with itself: {tally['disagrees']} disagree, "
        f"{tally['open']} are left open, {tally['agrees']} agree; and {questions} open questions, "
        "each with the printed numbers that its readings reproduce and break."
    )


def summary(found: Counter[str]) -> str:
    """Return how many claims have which verdict, in one sentence; empty for none."""
    said = ", ".join(counted(found[word], word) for word in verdicts.CLAIMS if found[word])
    return f"{many(sum(found.values()), 'claim')}: {said}." if said else ""


def counted(number: int, word: str) -> str:
    """Return how many have a verdict: ``1 holds``, ``27 hold``, ``15 undecided``."""
    return f"{number} {after(number, word)}"


def after(number: int, word: str) -> str:
    """Return a verdict as it follows a number."""
    return word if number == 1 else PLURALS.get(word, word)


def glance(views: tuple[TableView, ...], lacks: tuple[Remaining, ...] = ()) -> tuple[str, ...]:
    """Return a summary of the tables: a sentence on claims, on counts, on scores, and on missing runs."""
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
            *(f"Still to run, up to {lack.seeds} seeds a cell: {runs(lack.whole)}." for lack in lacks[:1]),
            *map(whole, lacks[1:]),
        )
        if text
    )


def _of_seeds(found: list[int]) -> str:
    if not found:
        return ""
    many = f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"
    return f", over {many} seed{'s' * (found != [1])} each"


def _against(outcomes: list[Outcome]) -> str:
    """Return the verdicts of scores against the paper, or that they are not comparable."""
    verdict = Counter(o.verdict for o in outcomes if o.verdict)
    if set(verdict) == {"not comparable"}:
        return "; none of them is comparable with the print, the claims speak"
    said = ", ".join(counted(verdict[word], word) for word in verdicts.CELLS if verdict[word])
    return f": {said}" if said else ""


LACKING = ("Table", "Cells without a number", "Runs to do", "Expected")


def lacking(found: Remaining) -> list[tuple[str, str, str, str]]:
    """Return a line for each table that lacks runs, and one for all: table, cells without a number, runs, time."""
    lines = [(lack.name, *_lacking(lack)) for lack in found.tables if lack.runs or lack.empty]
    return [*lines, ("all, each run once", *_lacking(found.whole))] if lines else []


def _lacking(lack: Lack) -> tuple[str, str, str]:
    return f"{lack.empty} of {lack.cells}", f"{lack.runs:,}", cost(lack)


def cost(lack: Lack) -> str:
    """Return the expected time of one process and the runs of unknown time; operations where no time is known."""
    if not lack.runs:
        return "no training"
    parts = [duration(lack.seconds)] if lack.seconds else []
    operations = _operations(lack)
    if lack.unknown and not lack.seconds:
        parts += [operations or f"{many(lack.unknown, 'run')} of unknown length"]
    elif lack.unknown:
        parts += [f"{many(lack.unknown, 'run')} of unknown length"]
    return " and ".join(parts)


def _operations(lack: Lack) -> str:
    if not math.isfinite(lack.flops) or not lack.flops:
        return ""
    speed = f"sustains {USUAL.tflops:g} TFLOP/s and needs {USUAL.launch_us:g} microseconds to launch an operation"
    return f"{lack.flops / 1e18:,.2f} EFLOP, {duration(lack.device_seconds)} of a device that {speed} (both assumed)"


def whole(found: Remaining) -> str:
    """Return the missing runs of another profile in one sentence; empty where there are none."""
    lack, seeds = found.whole, found.seeds
    if not lack.runs:
        return ""
    aim = "one seed" if seeds == 1 else f"{seeds} seeds"
    have = "none" if lack.empty == lack.cells else "all" if not lack.empty else f"{lack.cells - lack.empty}"
    return (
        f"Profile {found.profile}: {have} of its {lack.cells} scores {'was' if have == 'none' else 'were'} run; "
        f"{aim} of each would take {runs(lack)}."
    )


def aimed(found: Remaining) -> str:
    """Return the target that ``lacking`` counts up to, in one sentence."""
    if not (found.whole.runs or found.whole.empty):
        return f"Nothing: every cell has its {found.seeds} seeds."
    times = f" Times are of one process ({found.source})." if found.whole.seconds else ""
    words = f"--seeds {found.seeds}"
    if found.profile != DEFAULT:
        words = f"--profile {found.profile} {words}"
    return (
        f"Counted up to {found.seeds} seeds a cell, first stages of training included.{times} "
        f"The runs by name: `repro plan all {words}`; to run them: `repro run TABLE {words}`."
    )


def runs(lack: Lack) -> str:
    """Return the number and cost of missing runs."""
    if not lack.runs:
        return "nothing"
    return f"{many(lack.runs, 'run')}, {cost(lack)}"
