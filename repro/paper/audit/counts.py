"""Audit of the counts after res-5: parameters of the heads, how they are rounded, how they grow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

from repro.config.networks import GCN, Conv, Stack
from repro.paper.audit import closed_form
from repro.paper.audit.finding import CostCounter, Finding, decided
from repro.paper.printed import Printed, printed, text_number
from repro.paper.schema import Cost
from repro.paper.tables import all_tables

Cells = dict[str, tuple[Cost, Printed]]
Rule = Callable[[float], int]
ROUNDING: dict[str, Rule] = {"to nearest": round, "down": math.floor, "up": math.ceil}
SAME_RATIO = 0.02
"""Tolerance of the factor on 2/k around 1: the second convolutions of GCN alone add 1 %."""


def cells(*numbers: int) -> Cells:
    """Return the count cells of some tables by place, with the printed ones."""
    found: Cells = {}
    for table in (all_tables()[n] for n in numbers):
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                text = printed(table.number, row.label, column)
                if isinstance(cell, Cost) and text is not None:
                    found[f"table {table.number}, {row.label}, {column}"] = (cell, text)
    return found


def find(count: CostCounter) -> Iterator[Finding]:
    """Yield every finding about counts."""
    yield from _heads(count)
    yield _linear(count)
    yield _two_over_k(count)
    yield _fewest(count)
    yield _label(count)


def _heads(count: CostCounter) -> Iterator[Finding]:
    heads = cells(2, 4)
    ours = {place: count(cost) for place, (cost, _) in heads.items()}
    off = [place for place, (_, text) in heads.items() if not text.matches(ours[place])]
    yield Finding(
        "head-params",
        ("table 2", "table 4", "figure 4"),
        f"{len(heads)} parameter counts",
        f"{len(heads) - len(off)} of {len(heads)} within 1K: res-5 head alone, 2048 channels, 21 classes, no biases",
        decided(not off),
        "; ".join(f"{place}: {text.text} = {ours[place]:,}" for place, (_, text) in heads.items()),
    )
    broken = {
        name: [
            f"{text.text} ({ours[place]:,})"
            for place, (_, text) in heads.items()
            if f"{rule(ours[place] / 1000)}K" != text.text
        ]
        for name, rule in ROUNDING.items()
    }
    yield Finding(
        "rounding-of-counts",
        ("table 2", "table 4"),
        "counts are printed in thousands",
        "; ".join(f"rounding {name} breaks {_some(cut)}" for name, cut in broken.items()),
        decided(not all(broken.values())),
        "no one rule prints all of them; hence counts are compared to 1K",
    )


def _some(broken: list[str]) -> str:
    """Name up to three, or none."""
    shown = ", ".join(broken[:3]) or "none"
    return shown if len(broken) <= 3 else f"{len(broken)} of them"  # noqa: PLR2004 - as many as are read at a glance


def _linear(count: CostCounter) -> Finding:
    sizes = (3, 5, 7, 9, 11, 13, 15)
    params = [count(Cost(GCN(k))) for k in sizes]
    steps = {after - before for before, after in pairwise(params)}
    return Finding(
        "gcn-params-linear",
        ("4.1.1 (1)",),
        "the parameters of GCN grow linearly with k",
        f"every step of 2 in k adds {', '.join(f'{step:,}' for step in sorted(steps))}",
        decided(len(steps) == 1),
    )


def _two_over_k(count: CostCounter) -> Finding:
    ratio = {
        k: count(Cost(GCN(k))) / count(Cost(Conv(k))) / (text_number("cost_ratio").value / k) for k in (3, 5, 7, 9)
    }
    return Finding(
        "two-over-k",
        ("3.1",),
        "GCN needs O(2/k) of the parameters of k x k",
        ", ".join(f"k = {k}: {value:.4f} times 2/k" for k, value in ratio.items()),
        decided(all(abs(value - 1) < SAME_RATIO for value in ratio.values())),
        "the same factor at every k: 1 + 21/2048, the second convolutions from 21 to 21 channels",
    )


def _fewest(count: CostCounter) -> Finding:
    gcn, narrowest = count(Cost(GCN(7))), count(Cost(Stack(7, 210)))
    equal = max(m for m in range(1, 211) if closed_form.head_params(Stack(7, m)) <= gcn)
    return Finding(
        "stack-never-as-small",
        ("4.1.1 (2)", "table 4"),
        "the stack is made as small as m = 210 to compare it with GCN",
        f"that still has {narrowest / gcn:.1f} times the parameters of GCN; m = {equal} would be the equal one",
        "open",
        "stack and GCN are never compared at equal parameters",
    )


def _label(count: CostCounter) -> Finding:
    cell, m = printed(4, "# of Params", "2048 (GCN)"), 2048
    wide = 2 * 7 * m * (m + 21)
    return Finding(
        "label-of-gcn-in-table-4",
        ("table 4",),
        "the column of GCN is labelled m = 2048, as if GCN had 2048 channels between its convolutions",
        f"with 21 channels between it has {count(Cost(GCN(7))):,} parameters, with 2048 it would have {wide:,}",
        decided(cell is not None and cell.matches(wide)),
        "2048 can only be the channels of res-5 that it reads",
    )
