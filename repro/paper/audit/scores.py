"""Audit of the scores: margins, repeated cells, headlines, unexplained gains, effects of rounding."""

from __future__ import annotations

from collections.abc import Iterator

from repro.config.hashing import key
from repro.paper import printed as paper
from repro.paper.audit.finding import CostCounter, Finding, decided, points
from repro.paper.printed import number, text_number
from repro.paper.schema import Claim, Contrast, Cost, Score, Table
from repro.paper.tables import paper_tables

STEP = 0.1
"""The last printed place of a score, in points."""


def find(_: CostCounter) -> Iterator[Finding]:
    """Yield every finding about scores."""
    yield _margin_k15()
    yield from _stack()
    yield _margin_resnet_gcn()
    yield from _repeated()
    yield from _headlines()
    yield _below_baseline()


def _margin_k15() -> Finding:
    largest = number(1, "Score", "15")
    smallest, base = largest - number(1, "Score", "3"), largest - number(1, "Score", "base")
    printed = text_number("margin_k15").value
    return Finding(
        "margin-of-k15",
        ("4.1.1", "table 1"),
        f"k = 15 surpasses the smallest one by {points(printed)}",
        f"over k = 3 it is {points(smallest)}; over the baseline {points(base)}",
        decided(abs(smallest - printed) < STEP / 2),
        "the printed margin is the one over the 1 x 1 baseline, which is not among the sizes from 3 to 15",
    )


def _stack() -> Iterator[Finding]:
    leads = {int(k): number(3, "Score (GCN)", k) - number(3, "Score (Stack)", k) for k in ("3", "5", "7", "9", "11")}
    lost = [k for k, lead in leads.items() if lead <= 0]
    table = ", ".join(f"k = {k}: {lead:+.1f}" for k, lead in leads.items())
    yield Finding(
        "stack-at-k5",
        ("4.1.1 (2)", "table 3"),
        "GCN outperforms the stacks for any large kernel sizes",
        f"the stack wins at k = {', '.join(map(str, lost))}",
        decided(not lost),
        f"GCN over the stack: {table}",
    )
    first = min(k for k in leads if all(leads[j] > 0 for j in leads if j >= k))
    bound = int(text_number("k_stack_caption").value)
    yield Finding(
        "stack-caption-bound",
        ("table 3, caption",),
        f"GCN is better for k > {bound}",
        f"it is better from k = {first} on, by {points(leads[first])} there",
        decided(first > bound),
        f"k >= {first} would be the caption that the numbers support",
    )


def _margin_resnet_gcn() -> Finding:
    row = "Seg. Score (Baseline)"
    lead, printed = number(6, row, "ResNet50-GCN") - number(6, row, "ResNet50"), text_number("margin_resnet_gcn").value
    return Finding(
        "margin-of-resnet-gcn",
        ("4.1.2", "table 6"),
        f"ResNet50-GCN outperforms ResNet50 by {points(printed)}",
        f"by {points(lead)}",
        decided(abs(lead - printed) < STEP / 2),
        "the same figure as in section 4.1.1, there for another pair",
    )


def _repeated() -> Iterator[Finding]:
    """Yield one finding on all cells of Tables 1-11 that are one experiment under several labels."""
    places: dict[str, list[tuple[str, float]]] = {}
    for table in paper_tables().values():
        for label, name, value in _cells(table):
            places.setdefault(name, []).append((label, value))
    shared = {name: found for name, found in places.items() if len(found) > 1}
    differ = [found for found in shared.values() if len({value for _, value in found}) > 1]
    yield Finding(
        "repeated-cells",
        ("tables 1 to 11",),
        "one experiment has one number wherever it is printed",
        f"{len(shared)} experiments are printed {sum(map(len, shared.values()))} times; {len(differ)} differ",
        decided(not differ),
        "; ".join(" = ".join(label for label, _ in found) for found in (differ or shared.values())),
    )


def _cells(table: Table) -> Iterator[tuple[str, str, float]]:
    """Yield (place, content key, printed value) of the score and count cells of a table."""
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            found = paper.printed(table.number, row.label, column)
            if isinstance(cell, Score | Cost) and found is not None and found.value is not None:
                yield f"table {table.number} {row.label}, {column}", key(cell), found.value


def _headlines() -> Iterator[Finding]:
    for name, table in (("voc", 8), ("cityscapes", 10)):
        scores = {label: cell.value for (label, _), cell in paper.cells(table).items() if cell.value is not None}
        ours = scores.pop("Our approach")
        best = max(scores, key=lambda label: scores[label])
        claimed, previous = text_number(f"{name}_test"), text_number(f"{name}_test_previous")
        yield Finding(
            f"headline-{name}",
            (*claimed.places, f"table {table}"),
            f"{claimed.printed.text} against {previous.printed.text}",
            f"table {table} prints {points(ours)}, the best of {len(scores)} others {points(scores[best])} ({best})",
            decided(ours == claimed.value and scores[best] == previous.value),
        )


def _below_baseline() -> Finding:
    base = number(1, "Score", "base")
    below = [
        f"table {table} {row}, {column}: {cell.text}"
        for table in (2, 3, 4)
        for (row, column), cell in paper.cells(table).items()
        if row.startswith("Score") and cell.value is not None and cell.value < base
    ]
    return Finding(
        "below-baseline",
        ("tables 2 to 4",),
        f"large kernels help; a 1 x 1 scores {points(base)}",
        f"{len(below)} large kernels score less: {'; '.join(below)}",
        "open",
        "the text compares them with GCN only, never with the baseline",
    )


STAGES = ("Stage-1(%)", "Stage-2(%)", "Stage-3(%)")
REGIONS = ("Boundary (acc.)", "Internal (acc.)", "Overall (IoU)")


def find_unsaid(_: CostCounter) -> Iterator[Finding]:
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
    images, more = text_number("voc_aug_train").printed.text, text_number("stage1_images").printed.text
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
    """Solve for the share of boundary pixels at which a point of accuracy is worth equal mIoU for GCN and BR."""
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
    """List the claims with a difference that rounding alone can make."""
    claims = [(table, claim) for table, held in paper_tables().items() for claim in held.claims]
    weak = [f"{claim.name} (table {table})" for table, claim in claims if _fragile(claim, table)]
    half = text_number("voc_test").printed.step / 2
    return Finding(
        "rests-on-rounding",
        ("tables 1 to 11",),
        f"{len(claims)} sentences compare printed numbers",
        f"{len(weak)} of them rest on a difference that rounding alone can make: {', '.join(weak)}",
        "open",
        f"each printed number may be off by half its last place ({half:.2f} for scores)",
    )


def _fragile(claim: Claim, table: int) -> bool:
    plain = [contrast for contrast in claim.contrasts if contrast.above == 0 and contrast.below is None]
    return any(abs(paper.difference(contrast, table)) <= _slack(contrast, table) for contrast in plain)


def _slack(contrast: Contrast, table: int) -> float:
    """Return the largest change of a contrast by rounding alone."""
    found = 1e-9
    for weight, ref in contrast.terms:
        cell = paper.printed(ref.table or table, ref.row, ref.column)
        found += abs(weight) * cell.step / 2 if cell else 0.0
    return found
