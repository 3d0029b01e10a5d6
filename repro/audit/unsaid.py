"""Audit of what the scores leave unsaid: gains without a reason, differences that rounding could turn."""

from __future__ import annotations

from collections.abc import Iterator

from repro import paper, specs
from repro.audit.finding import Counter, points
from repro.findings import Finding
from repro.paper import number, said
from repro.spec import Claim, Contrast

STAGES = ("Stage-1(%)", "Stage-2(%)", "Stage-3(%)")
REGIONS = ("Boundary (acc.)", "Internal (acc.)", "Overall (IoU)")


def find(_: Counter) -> Iterator[Finding]:
    """Yield every open finding about scores."""
    yield _test_against_val("voc", 8, 7, "4.2")
    yield _test_against_val("cityscapes", 10, 9, "4.3")
    yield _more_images()
    yield _br_gain()
    yield _proportion()
    yield _rounding()


def _test_against_val(name: str, table: int, val: int, place: str) -> Finding:
    test = number(table, "Our approach", "mean-IoU(%)")
    rows = {row: cell.value for (row, column), cell in paper.cells(val).items() if column == "GCN + BR" and cell.value}
    best = max(rows, key=lambda row: rows[row])
    same = [row for row, value in rows.items() if value == test]
    return Finding(
        f"test-against-val-{name}",
        (place, f"table {val}", f"table {table}"),
        "the best model is submitted to the test server",
        f"test {points(test)}, best on validation {points(rows[best])} ({best}): {test - rows[best]:+.1f}",
        "open",
        "not said: which protocol was submitted, and whether its model was trained on the validation images too"
        + (f"; the test score is that of {same[0]} to the digit" if same else ""),
    )


def _more_images() -> Finding:
    """Compare Stage-1 of Table 7 with the same models trained on a part of its images (section 4.1)."""
    alone = {
        "Baseline": number(1, "Score", "base"),
        "GCN": number(1, "Score", "15"),
        "GCN + BR": number(5, "GCN + BR", "Overall (IoU)"),
    }
    gains = {model: number(7, "Stage-1(%)", model) - score for model, score in alone.items()}
    images, more = said("voc_aug_train").printed.text, said("stage1_images").printed.text
    return Finding(
        "more-images",
        ("table 1", "table 5", "table 7", "4.2"),
        f"Stage-1 trains on {more} images, among them the {images} of section 4.1",
        "against these alone it scores " + ", ".join(f"{gain:+.1f} ({model})" for model, gain in gains.items()),
        "open",
        "the print gives no reason why so many more images pay only in the stage after",
    )


def _br_gain() -> Finding:
    gains = {stage: number(7, stage, "GCN + BR") - number(7, stage, "GCN") for stage in STAGES}
    alone = number(5, "GCN + BR", "Overall (IoU)") - number(5, "GCN", "Overall (IoU)")
    return Finding(
        "br-gain",
        ("table 5", "table 7"),
        f"BR adds {points(alone)} to GCN in table 5",
        "in table 7 it adds " + ", ".join(f"{points(gain)} ({stage[:7]})" for stage, gain in gains.items()),
        "open",
        f"{min(gains.values()) / alone:.1f} to {max(gains.values()) / alone:.1f} times as much, without a reason given",
    )


def _proportion() -> Finding:
    """Ask at which share of boundary pixels a point of accuracy is worth as much mIoU for GCN as for BR."""
    gcn, br = _gains("GCN", "Baseline"), _gains("GCN + BR", "GCN")
    slope = br[2] * (gcn[0] - gcn[1]) - gcn[2] * (br[0] - br[1])
    share = (gcn[2] * br[1] - br[2] * gcn[1]) / slope
    exists = 0 <= share <= 1
    return Finding(
        "accuracy-against-iou",
        ("table 5",),
        "boundary, internal accuracy and mIoU rise by {:.1f}, {:.1f}, {:.1f} with GCN, ".format(*gcn)
        + "by {:.1f}, {:.1f}, {:.1f} with BR".format(*br),
        f"the two gains would be in proportion where {100 * share:.0f} % of the pixels are boundary",
        "open",
        "such a share exists"
        if exists
        else "no such share exists: a point of accuracy is worth more mIoU in GCN's row than in BR's",
    )


def _gains(after: str, before: str) -> list[float]:
    return [number(5, after, column) - number(5, before, column) for column in REGIONS]


def _rounding() -> Finding:
    """List the claims of which a plain difference is no larger than what rounding may have made."""
    claims = [(table, claim) for table, held in specs.printed().items() for claim in held.claims]
    weak = [f"{claim.name} (table {table})" for table, claim in claims if _fragile(claim, table)]
    return Finding(
        "rests-on-rounding",
        ("tables 1 to 11",),
        f"{len(claims)} sentences compare printed numbers",
        f"{len(weak)} of them rest on a difference that rounding alone can make: {', '.join(weak)}",
        "open",
        f"each printed number may be off by half its last place ({said('voc_test').printed.step / 2:.2f} for scores)",
    )


def _fragile(claim: Claim, table: int) -> bool:
    plain = [contrast for contrast in claim.contrasts if contrast.above == 0 and contrast.below is None]
    return any(abs(paper.difference(contrast, table)) <= _slack(contrast, table) for contrast in plain)


def _slack(contrast: Contrast, table: int) -> float:
    """Return how far rounding alone can move a contrast."""
    found = 1e-9
    for weight, ref in contrast.terms:
        cell = paper.printed(ref.table or table, ref.row, ref.column)
        found += abs(weight) * cell.step / 2 if cell else 0.0
    return found
