"""Tables in the terminal: whatever its width, no number is cut."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from repro.config import profiles
from repro.paper.tables import all_tables
from repro.report.terminal import show_tables
from repro.results import records
from tests.support import ROOT


@pytest.fixture(scope="module")
def shelf() -> records.RecordStore:
    """The records that the project ships."""
    return records.load({"reference": ROOT / "runs" / "reference"})


@pytest.mark.parametrize("number", [2, 7, 11])
@pytest.mark.parametrize("width", [70, 100])
def test_no_number_is_cut(number: int, width: int, shelf: records.RecordStore) -> None:
    """A table too wide for the terminal is shown a few columns at a time; each number of the wide one is there."""

    def shown(columns: int) -> str:
        text = io.StringIO()
        show_tables(Console(file=text, width=columns), [all_tables()[number]], profiles.get("shapes"), shelf)
        return text.getvalue()

    narrow, wide = shown(width), shown(400)
    assert "…" not in narrow
    numbers = [word for word in wide.split() if any(letter.isdigit() for letter in word)]
    assert set(numbers) <= set(narrow.split())
    assert "not comparable" in " ".join(narrow.split()) or number == 11
