"""What test servers answered: entered once, shown in its table, retracted by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from repro import answers, compare, profiles, records, specs
from repro.answers import AnswerError
from repro.claims import Desk
from repro.commands import keeping, scoring
from repro.counts import Counts
from repro.measured import Evidence
from repro.records import Shelf
from repro.views import TableView

OUT = Console(quiet=True)


def _key(number: int, profile: str = "paper", recipe: str = "") -> str:
    cell = scoring.submitted(specs.tables()[number])
    assert cell is not None
    run = profiles.get(profile, recipe=recipe).resolve(cell.training, cell.evaluation)
    assert run is not None
    return run.key


def _view(runs: Path, number: int = 8) -> TableView:
    shelf = records.load({"local": runs / "local"})
    counts = Counts({})
    return compare.compare(specs.tables()[number], profiles.get("paper"), shelf, counts, specs.tables())


def test_an_answer_fills_its_cell_until_it_is_retracted(tmp_path: Path) -> None:
    """Awaiting, then the number with its day and its distance from the print (82.2), then awaiting again."""
    assert _view(tmp_path).cells()[-1].outcomes[0].status == "awaiting the test server"
    scoring.score(OUT, _key(8), 81.7, "2026-11-21", tmp_path)
    found = _view(tmp_path).cells()[-1].outcomes[0]
    assert (found.status, found.words, found.verdict) == ("answered", "81.7 (2026-11-21)", "one seed")
    assert found.value == pytest.approx(81.7)
    assert found.difference == pytest.approx(-0.5)
    keeping.retract(OUT, f"{_key(8)}-2026-11-21", "typed wrongly", tmp_path)
    assert _view(tmp_path).cells()[-1].outcomes[0].status == "awaiting the test server"
    scoring.score(OUT, _key(8), 82.1, "2026-11-21", tmp_path)
    assert _view(tmp_path).cells()[-1].outcomes[0].value == pytest.approx(82.1)


def test_the_last_day_is_shown(tmp_path: Path) -> None:
    """A later answer stands before an earlier one, whichever was entered first."""
    for miou, date in ((82.0, "2026-11-21"), (79.0, "2026-10-01")):
        scoring.score(OUT, _key(8), miou, date, tmp_path)
    assert _view(tmp_path).cells()[-1].outcomes[0].value == pytest.approx(82.0)


def test_claims_of_the_table_use_the_answer(tmp_path: Path) -> None:
    """With 82.2 the printed lead of 2 points is there; with 80 it is not; without an answer it is not run."""
    assert {claim.verdict for claim in _view(tmp_path).claims} == {"not run"}
    scoring.score(OUT, _key(8), 82.2, "2026-11-20", tmp_path)
    assert {claim.verdict for claim in _view(tmp_path).claims} == {"holds"}
    scoring.score(OUT, _key(8), 80.4, "2026-11-21", tmp_path)
    verdicts = {claim.name: claim.verdict for claim in _view(tmp_path).claims}
    assert verdicts == {"voc-state-of-the-art": "holds", "voc-lead": "fails"}


def test_every_recipe_has_a_key_of_its_own() -> None:
    """Both tables, both recipes of profile paper; the small profiles submit nothing."""
    found = [(table.number, profile, recipe) for _, table, profile, recipe in scoring.known()]
    assert found == [(8, "paper", "paper"), (8, "paper", "fast"), (10, "paper", "paper"), (10, "paper", "fast")]
    assert len({key for key, *_ in scoring.known()}) == 4


@pytest.mark.parametrize(
    ("key", "miou", "date", "says"),
    [
        ("0123456789", 82.2, "", "no table submits a run of this key; known are"),
        ("", 0.822, "", "write per cent"),
        ("", 101.0, "", "impossible"),
        ("", -3.0, "", "impossible"),
        ("", float("nan"), "", "impossible"),
        ("", 82.2, "21.11.2026", "is no day; write it as 2026-11-21"),
    ],
)
def test_bad_answers_are_refused(key: str, miou: float, date: str, says: str, tmp_path: Path) -> None:
    """An unknown key, a fraction, an impossible number or day: one sentence, and nothing is written."""
    with pytest.raises(AnswerError, match=says):
        scoring.score(OUT, key or _key(10), miou, date, tmp_path)
    assert not list(tmp_path.rglob("*.json"))


def test_an_answer_is_never_overwritten(tmp_path: Path) -> None:
    """A second answer of one day is refused and the first stays."""
    scoring.score(OUT, _key(10), 76.9, "2026-11-21", tmp_path)
    with pytest.raises(AnswerError, match="never overwritten"):
        scoring.score(OUT, _key(10), 70.0, "2026-11-21", tmp_path)
    assert [answer.miou for answer in answers.load({"local": tmp_path / "local"})[0]] == [0.769]


@pytest.mark.parametrize("text", ["", "{", '{"schema": 2}', '{"schema": 1, "key": "x", "server": "voc", "miou": 82.2}'])
def test_a_damaged_answer_is_passed_over_and_named(text: str, tmp_path: Path) -> None:
    """Reading goes on; the file is named and left in place."""
    path = tmp_path / "local/scores/x-2026-11-21/score.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    shelf = records.load({"local": tmp_path / "local"})
    assert shelf.answers == ()
    assert str(path) in shelf.passed_over[0]
    assert path.exists()


def test_no_answer_for_a_profile_without_the_test_set() -> None:
    """Profile shapes submits nothing, so it has no key to ask for."""
    cell = scoring.submitted(specs.tables()[8])
    assert cell is not None
    assert Desk(profiles.get("shapes"), Evidence(Shelf(())), {}, {}).answer(cell) is None
