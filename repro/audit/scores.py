"""Audit of the scores: margins, repeated cells, headlines."""

from __future__ import annotations

from collections.abc import Iterator

from repro import paper, specs
from repro.audit.finding import Counter, decided, points
from repro.findings import Finding
from repro.keys import key
from repro.paper import number, said
from repro.spec import Cost, Score, Table

STEP = 0.1
"""The last printed place of a score, in points."""


def find(_: Counter) -> Iterator[Finding]:
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
    printed = said("margin_k15").value
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
    bound = int(said("k_stack_caption").value)
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
    lead, printed = number(6, row, "ResNet50-GCN") - number(6, row, "ResNet50"), said("margin_resnet_gcn").value
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
    for table in specs.printed().values():
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
        claimed, previous = said(f"{name}_test"), said(f"{name}_test_previous")
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
