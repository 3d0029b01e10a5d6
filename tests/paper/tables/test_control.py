"""Tests of the control table: what stands in place of the print, and each verdict in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from repro.config.experiment import Run
from repro.config.profiles import get
from repro.paper.tables import all_tables
from repro.report import dataframe, html, latex, markdown
from repro.report import text as words
from repro.report.compare import compare
from repro.report.page import Page
from repro.report.table_view import TableView
from repro.results.counts import Counts
from repro.results.records import load
from tests.support import simulate

CONTROL = next(table for table in all_tables().values() if table.own == "control")
OUTLINE = 8
"""Cells of the first row; the second row's runs come after them."""
Share = Callable[[Run, int, int], float]


def rising(_: Run, order: int, seed: int) -> float:
    """Rise with k where the outline tells the class, stand still on the control."""
    return (0.4 + 0.02 * order if order < OUTLINE else 0.7) + 0.001 * ((seed * 7 + order * 5) % 11)


def alike(_: Run, order: int, seed: int) -> float:
    """Rise with k on both, on the control twice as much."""
    return 0.3 + (0.01 if order < OUTLINE else 0.02) * (order % OUTLINE) + 0.001 * ((seed + order) % 3)


def view(root: Path, share: Share) -> TableView:
    """Return the table from made-up records."""
    simulate.fill(root, {CONTROL.number: CONTROL}, share)
    return compare(CONTROL, get("shapes"), load({"reference": root}), Counts({}), all_tables())


@pytest.mark.parametrize(
    ("share", "verdict", "said"), [(rising, "holds", "is the paper's"), (alike, "fails", "is not the paper's")]
)
def test_the_verdict_is_said_in_words(tmp_path: Path, share: Share, verdict: str, said: str) -> None:
    """The gain against the gain, paired over seeds, and what that makes of the effect."""
    claim = next(claim for claim in view(tmp_path, share).claims if claim.name == "control-gain")
    assert claim.verdict == verdict
    assert claim.note.endswith(said)
    (effect,) = claim.effects
    assert effect.seeds == 3
    assert effect.low < effect.estimate < effect.high
    assert said in words.evidence(claim)


def test_intervals_stand_where_the_print_would(tmp_path: Path) -> None:
    """Each score and each gain has its interval; no line is the paper's, no cell has a printed number."""
    shown = view(tmp_path, rising)
    for row in shown.rows:
        base, *others = (cell.outcomes[0] for cell in row.cells)
        assert base.gain_span is None
        for outcome in (base, *others):
            assert outcome.span is not None
            assert outcome.span[0] < outcome.value < outcome.span[1]
        for outcome in others:
            assert outcome.gain_span is not None
            assert outcome.gain_span[0] < outcome.gain < outcome.gain_span[1]
    assert all(cell.printed is None for cell in shown.cells())
    text = markdown.render(shown)
    assert "*paper*" not in text
    assert text.count("*95 % interval*") == text.count("*gain over base*") == 2
    assert words.OWN in text


def test_every_format_marks_it_as_the_suites_own(tmp_path: Path) -> None:
    """No format calls it a table of the paper, or by a number that the paper could have."""
    shown = view(tmp_path, rising)
    texts = {
        "md": markdown.render(shown),
        "tex": latex.render(shown),
        "csv": dataframe.render_csv(shown),
        "html": html.render(Page((shown,))),
        "document": latex.render_document(Page((shown,))),
    }
    for form, text in texts.items():
        assert f"able {CONTROL.number}" not in text, form
        assert f"table{CONTROL.number}" not in text, form
    assert r"{\renewcommand{\thetable}{control}\input{control}}" in texts["document"]
    assert "suite's own" in texts["tex"]
    assert texts["csv"].splitlines()[1].startswith("control,")
    assert '<h2 id="control">' in texts["html"]


def test_other_tables_have_no_such_intervals(tmp_path: Path) -> None:
    """Where the paper prints a number, the table shows it and the spread, as before."""
    simulate.fill(tmp_path, {2: simulate.TABLE}, rising, profile=simulate.PROFILE)
    found = compare(simulate.TABLE, simulate.PROFILE, load({"reference": tmp_path}), Counts({}))
    assert all(outcome.span is None for cell in found.cells() for outcome in cell.outcomes)
    assert "95 % interval*" not in markdown.render(found)
