"""`repro cost`: the stored counts are the modules'."""

from __future__ import annotations

import json
from pathlib import Path

from repro.cli import cost
from repro.models import flops
from repro.paper.tables import select_tables
from repro.results.counts import load_counts


def test_stored_counts_are_those_of_the_built_modules(tmp_path: Path) -> None:
    """The file that the report reads is what building every network anew gives."""
    stored = load_counts()
    assert stored.fault == ""
    assert dict(stored.values) == cost.every_count()
    cost.store_counts(tmp_path / "counts.json")
    assert json.loads((tmp_path / "counts.json").read_text(encoding="utf-8"))["counts"] == dict(stored.values)


def test_printed_counts_match_and_the_known_one_differs() -> None:
    """Every parameter count matches; of Table 11 only ResNet50's MFLOPs differ from the print (facts)."""
    cells = cost.count_cells(select_tables(["all"]), flops.torch_macs)
    found = [cell for cell in cells if cell.printed]
    others = [("stride in the 3 x 3", "ResNet50", 4087), ("branches summed", "ResNet50-GCN", 3589)]
    assert [(c.table, c.row, c.column, int(c.ours) // 10**6) for c in found if c.verdict == "differs"] == [
        (11, "MFlops (Conv)", "ResNet50", 3855),
        *((11, f"MFlops (Conv), {says}", column, macs) for says, column, macs in others),
    ]
    assert sum(c.verdict == "matches" for c in found) == len(found) - 3
