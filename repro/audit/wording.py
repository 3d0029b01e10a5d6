"""Audit of words: names, references, and the slides against the paper."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from repro import paper
from repro.audit.finding import Counter, decided
from repro.findings import Finding

_CITED = re.compile(r"\[(\d+)\]")


def find(_: Counter) -> Iterator[Finding]:
    """Yield every finding about words and slides."""
    yield _refinement()
    yield _references()
    yield _slide_cells()
    yield _slide_references()


def _refinement() -> Finding:
    names = paper.section("words")["refinement"]
    distinct = sorted({name for name, _ in names})
    return Finding(
        "name-of-br",
        tuple(place for _, place in names),
        "boundary refinement has one abbreviation",
        f"it has {len(distinct)}: " + ", ".join(f"{name} ({place})" for name, place in names),
        decided(len(distinct) == 1),
    )


def _references() -> Finding:
    """Look for a reference number that stands for two methods, or a method under two numbers."""
    methods: dict[str, set[str]] = defaultdict(set)
    rows = paper.section("words")["references"]
    for method, reference, _ in rows:
        methods[reference].add(method)
    doubled = {reference: sorted(names) for reference, names in methods.items() if len(names) > 1}
    return Finding(
        "references",
        tuple(dict.fromkeys(place for _, reference, place in rows if reference in doubled)),
        "a reference stands for one method",
        "; ".join(f"[{reference}] stands for {' and '.join(names)}" for reference, names in doubled.items())
        or "each does",
        decided(not doubled),
        "DPN is [24] in the reference list; DeepLab is [6] and [7]",
    )


def _slide_cells() -> Finding:
    tables = paper.section("slides")["tables"]
    compared, differ = 0, []
    for number, rows in tables.items():
        there = [list(row) for row in rows]
        here = _texts(int(number))
        compared += sum(bool(text) for row in there for text in row)
        if here != there:
            differ.append(number)
    return Finding(
        "slides-cells",
        tuple(f"table {number}" for number in tables),
        "the slides repeat the paper's tables",
        f"{compared} cells of {len(tables)} tables, differing: {', '.join(differ) or 'none'}",
        decided(not differ),
    )


def _texts(table: int) -> list[list[str]]:
    """Return the texts of a table row by row, in the order of print."""
    labels = list(dict.fromkeys(row for row, _ in paper.cells(table)))
    columns = paper.columns(table)
    texts = ((paper.printed(table, label, column) for column in columns) for label in labels)
    return [[cell.text if cell else "" for cell in row] for row in texts]


def _slide_references() -> Finding:
    here = list(dict.fromkeys(row for row, _ in paper.cells(8)))
    there = paper.section("slides")["labels"]["8"]
    pairs = sorted(
        {
            (int(a[1]), int(b[1]))
            for a, b in zip(map(_CITED.search, here), map(_CITED.search, there), strict=True)
            if a is not None and b is not None
        }
    )
    kept, moved = [pair for pair in pairs if pair[0] == pair[1]], [pair for pair in pairs if pair[0] != pair[1]]
    steps = ", ".join(sorted({str(a - b) for a, b in moved}))
    return Finding(
        "slides-references",
        ("table 8", "slides"),
        "the slides cite as the paper does",
        f"up to [{kept[-1][0]}] they do; from [{moved[0][0]}] on by a number that is lower by {steps}",
        decided(not moved),
        "as if one reference had been added to the paper's list after the slides were made",
    )
