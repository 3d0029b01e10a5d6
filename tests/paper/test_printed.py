"""The printed numbers: how they are parsed, looked up, compared, and what a typing error gets."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from repro.config.errors import PaperError
from repro.paper import printed as paper


def test_score() -> None:
    """A score keeps its text, its unit and its last place."""
    cell = paper.printed(1, "Score", "base")
    assert cell == paper.Printed("69.0", 69.0, "%", 0.1, 1)


def test_count_in_thousands() -> None:
    """260K is 260000 parameters, printed to a thousand."""
    cell = paper.printed(2, "# of Params (GCN)", "3")
    assert cell is not None
    assert (cell.value, cell.unit, cell.step) == (260_000, "params", 1000)


def test_mflops() -> None:
    """3700 MFLOPs are 3.7e9 multiply-adds, read to the hundred."""
    cell = paper.printed(11, "MFlops (Conv)", "ResNet50")
    assert cell is not None
    assert (cell.value, cell.unit, cell.step) == (3.7e9, "MFLOPs", 1e8)


def test_words_have_no_value() -> None:
    """A block of Table 11 is words: no number, nothing matches it."""
    cell = paper.printed(11, "res-5", "ResNet50-GCN")
    assert cell is not None
    assert cell.text == "[(1 x 7, 128) (7 x 1, 128); (7 x 1, 128) (1 x 7, 128); 1 x 1, 2048] x 3"
    assert cell.value is None
    assert not cell.matches(3)


def test_empty_cell_and_unknown_labels() -> None:
    """Where nothing is printed there is nothing: an empty cell, another label, another table."""
    assert paper.printed(7, "Stage-3-MS(%)", "GCN") is None
    assert paper.printed(1, "Score", "17") is None
    assert paper.printed(12, "Score", "3") is None


@pytest.mark.parametrize(
    ("ours", "matches"), [(260_694, True), (259_000, True), (261_001, False), (258_999, False), (float("nan"), False)]
)
def test_matches_to_one_step(ours: float, matches: bool) -> None:
    """A count matches within one printed step, and nan matches nothing."""
    cell = paper.printed(2, "# of Params (GCN)", "3")
    assert cell is not None
    assert cell.matches(ours) is matches


@pytest.mark.parametrize(
    ("row", "column", "ours", "verdict"),
    [
        ("# of Params (GCN)", "3", 260_694, "matches"),
        ("# of Params (Conv)", "9", 3_483_648, "matches"),
        ("# of Params (GCN)", "7", 609_000, "matches"),
        ("# of Params (GCN)", "7", 609_001, "differs"),
    ],
)
def test_counts_may_be_off_by_one_printed_place(row: str, column: str, ours: int, verdict: str) -> None:
    """The paper truncates 260,694 and rounds 3,483,648 up: both are within 1K."""
    cell = paper.printed(2, row, column)
    assert cell is not None
    assert cell.verdict(ours) == verdict
    assert cell.in_unit(ours) == ours


def test_layouts_differ_by_more_than_spaces() -> None:
    """Spaces and case do not matter, numbers do; a number beside words has no verdict."""
    cell = paper.Printed("7 x 7, 64, stride 2", None, "", 0.0)
    assert cell.verdict("7x7, 64, Stride 2") == "matches"
    assert cell.verdict("7 x 7, 64, stride 1") == "differs"
    assert cell.verdict(3) == ""


def test_cells_of_every_table() -> None:
    """Each table prints as many cells as the paper's has."""
    printed = {number: len(paper.cells(number)) for number in paper.numbers()}
    assert printed == {1: 8, 2: 16, 3: 10, 4: 8, 5: 9, 6: 6, 7: 11, 8: 13, 9: 4, 10: 9, 11: 22}


def test_text() -> None:
    """A number of the text says its places; separators and the per cent sign are read."""
    assert paper.text_number("voc_aug_train").value == 10_582
    assert paper.text_number("cityscapes_coarse").value == 19_998
    headline = paper.text_number("voc_test")
    assert (headline.value, headline.printed.unit) == (82.2, "%")
    assert {"abstract", "5"} <= set(headline.places)


def test_unknown_number_of_the_text() -> None:
    """An unknown name is said by one sentence that names it."""
    with pytest.raises(PaperError, match=r"'nothing'.*add it under"):
        paper.text_number("nothing")


def check() -> tuple[str, ...]:
    """Return the faults of ``printed.toml``, one sentence each: ragged rows, labels twice, words for numbers."""
    return tuple(fault for number in paper.numbers() for fault in _faults(number, paper._data()["tables"][str(number)]))


def _faults(number: int, block: dict[str, Any]) -> list[str]:
    """Return the faults of one table."""
    faults, labels = [], [row[0] for row in block["rows"]]
    for label, *texts in block["rows"]:
        if len(texts) != len(block["columns"]):
            faults.append(f"table {number}, row {label!r}: {len(texts)} entries under {len(block['columns'])} columns")
        if labels.count(label) > 1:
            faults.append(f"table {number}: row {label!r} stands there twice")
        if block["unit"] or label in block.get("units", {}):
            faults += [
                f"table {number}, row {label!r}: {text!r} is not a number"
                for text in texts
                if text and not paper._NUMBER.fullmatch(text)
            ]
    faults += [
        f"table {number}: unit of an unknown row {label!r}" for label in block.get("units", {}) if label not in labels
    ]
    return faults


def test_check_is_clean() -> None:
    """The file as it stands has no fault."""
    assert check() == ()


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        ({"columns": ["a", "b"], "unit": "%", "rows": [["r", "1.0"]]}, "1 entries under 2 columns"),
        ({"columns": ["a"], "unit": "%", "rows": [["r", "1.0"], ["r", "2.0"]]}, "stands there twice"),
        ({"columns": ["a"], "unit": "%", "rows": [["r", "7O.1"]]}, "'7O.1' is not a number"),
        ({"columns": ["a"], "unit": "%", "rows": [["r", "1.0"]], "units": {"s": "params"}}, "unknown row 's'"),
    ],
)
def test_check_finds_typing_errors(monkeypatch: pytest.MonkeyPatch, block: dict[str, object], fault: str) -> None:
    """A ragged row, a row twice, a letter in a number and a unit for nothing are each named."""
    monkeypatch.setattr(paper, "_data", lambda: {"tables": {"3": block}, "text": {}})
    assert any(fault in found and "table 3" in found for found in check())


def test_no_heavy_import() -> None:
    """Looking up a printed number imports neither torch nor numpy (fresh process)."""
    code = (
        "import sys, repro.paper.printed as p; p.printed(1, 'Score', '3'); print({'torch', 'numpy'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
