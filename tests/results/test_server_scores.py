"""What test servers answered: entered once, shown in its table, retracted by name."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from repro.cli import status, submit
from repro.config import profiles
from repro.config.errors import AnswerError, RecordError
from repro.paper.schema import submitted
from repro.paper.tables import all_tables
from repro.report import compare
from repro.report.table_view import TableView
from repro.results import records, server_scores
from repro.results.claims import ComparisonContext
from repro.results.counts import Counts
from repro.results.records import RecordStore
from repro.results.scores import Scores
from repro.results.server_scores import Submission
from tests.support import simulate

OUT = Console(quiet=True)


def _key(number: int, profile: str = "paper", recipe: str = "") -> str:
    cell = submitted(all_tables()[number])
    assert cell is not None
    run = profiles.get(profile, recipe=recipe).resolve(cell.training, cell.evaluation)
    assert run is not None
    return run.key


def _sent(runs: Path, number: int, record: str = "paper-gcn-x-s0", date: str = "2026-10-01") -> Submission:
    """Note an archive as `repro submit` does."""
    found = Submission(_key(number), record, "", f"{number:064x}", "paper", 1456, date)
    server_scores.keep(runs / "local", found)
    return found


def _view(runs: Path, number: int = 8) -> TableView:
    shelf = records.load({"local": runs / "local"})
    counts = Counts({})
    return compare.compare(all_tables()[number], profiles.get("paper"), shelf, counts, all_tables())


def test_an_answer_fills_its_cell_until_it_is_retracted(tmp_path: Path) -> None:
    """Awaiting, then the number with its day and its distance from the print (82.2), then awaiting again."""
    _sent(tmp_path, 8)
    assert _view(tmp_path).cells()[-1].outcomes[0].status == "awaiting the test server"
    submit.enter_score(OUT, _key(8), 81.7, "2026-11-21", tmp_path)
    found = _view(tmp_path).cells()[-1].outcomes[0]
    assert (found.status, found.words, found.verdict) == ("answered", "81.7 (2026-11-21)", "one seed")
    assert found.value == pytest.approx(81.7)
    assert found.difference == pytest.approx(-0.5)
    status.retract_record(OUT, f"{_key(8)}-2026-11-21", "typed wrongly", tmp_path)
    assert _view(tmp_path).cells()[-1].outcomes[0].status == "awaiting the test server"
    submit.enter_score(OUT, _key(8), 82.1, "2026-11-21", tmp_path)
    assert _view(tmp_path).cells()[-1].outcomes[0].value == pytest.approx(82.1)


def test_the_last_day_is_shown(tmp_path: Path) -> None:
    """A later answer stands before an earlier one, whichever was entered first."""
    _sent(tmp_path, 8)
    for miou, date in ((82.0, "2026-11-21"), (79.0, "2026-10-01")):
        submit.enter_score(OUT, _key(8), miou, date, tmp_path)
    assert _view(tmp_path).cells()[-1].outcomes[0].value == pytest.approx(82.0)


def test_claims_of_the_table_use_the_answer(tmp_path: Path) -> None:
    """With 82.2 the printed lead of 2 points is there; with 80 it is not; without an answer it is not run."""
    _sent(tmp_path, 8)
    assert {claim.verdict for claim in _view(tmp_path).claims} == {"not run"}
    submit.enter_score(OUT, _key(8), 82.2, "2026-11-20", tmp_path)
    assert {claim.verdict for claim in _view(tmp_path).claims} == {"holds"}
    submit.enter_score(OUT, _key(8), 80.4, "2026-11-21", tmp_path)
    verdicts = {claim.name: claim.verdict for claim in _view(tmp_path).claims}
    assert verdicts == {"voc-state-of-the-art": "holds", "voc-lead": "fails"}


def test_every_recipe_has_a_key_of_its_own() -> None:
    """Both tables, both recipes of profile paper; the small profiles submit nothing."""
    found = [(table.number, profile, recipe) for _, table, profile, recipe in submit.known()]
    assert found == [(8, "paper", "paper"), (8, "paper", "fast"), (10, "paper", "paper"), (10, "paper", "fast")]
    assert len({key for key, *_ in submit.known()}) == 4


@pytest.mark.parametrize(
    ("key", "miou", "date", "says"),
    [
        ("0123456789", 82.2, "", "no table submits a run of this key; known are"),
        ("", 0.822, "", "write per cent"),
        ("", 101.0, "", "impossible"),
        ("", -3.0, "", "impossible"),
        ("", float("nan"), "", "impossible"),
        ("", 82.2, "21.11.2026", "is no day; write it as 2026-11-21"),
        ("", 82.2, "2226-11-21", "lies in the future"),
        ("", 82.2, "2026-09-29", "the archive was written on 2026-10-01"),
    ],
)
def test_bad_answers_are_refused(key: str, miou: float, date: str, says: str, tmp_path: Path) -> None:
    """An unknown key, a fraction, an impossible number or day: one sentence, and nothing is written."""
    _sent(tmp_path, 10)
    with pytest.raises(AnswerError, match=says):
        submit.enter_score(OUT, key or _key(10), miou, date, tmp_path)
    assert not list(tmp_path.glob("local/scores/*"))


def test_an_answer_is_never_overwritten(tmp_path: Path) -> None:
    """A second answer of one day is refused and the first stays."""
    _sent(tmp_path, 10)
    submit.enter_score(OUT, _key(10), 76.9, "2026-11-21", tmp_path)
    with pytest.raises(AnswerError, match="never overwritten"):
        submit.enter_score(OUT, _key(10), 70.0, "2026-11-21", tmp_path)
    submit.enter_score(OUT, _key(10), 76.9, "2026-11-21", tmp_path)  # the same once more is no second one
    assert [answer.miou for answer in records.load({"local": tmp_path / "local"}).answers] == [0.769]


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
    cell = submitted(all_tables()[8])
    assert cell is not None
    assert ComparisonContext(profiles.get("shapes"), Scores(RecordStore(())), {}, {}).answer(cell) is None


def test_an_answer_needs_its_archive(tmp_path: Path) -> None:
    """What was never submitted has no score; an archive of another machine comes with its note."""
    with pytest.raises(AnswerError, match=r"no archive of this run was written here.*--note"):
        submit.enter_score(OUT, _key(8), 82.2, "2026-11-21", tmp_path)
    note = server_scores.keep(tmp_path / "elsewhere", _sent(tmp_path / "other", 8))
    with pytest.raises(AnswerError, match=f"is of key {_key(8)}, not of {_key(10)}"):
        submit.enter_score(OUT, _key(10), 82.2, "2026-11-21", tmp_path, note)
    submit.enter_score(OUT, _key(8), 82.2, "2026-11-21", tmp_path, note)
    (answer,) = records.load({"local": tmp_path / "local"}).answers
    assert (answer.record, answer.archive, answer.miou) == ("paper-gcn-x-s0", f"{8:064x}", 0.822)


def test_archives_of_two_networks_are_told_apart(tmp_path: Path) -> None:
    """The user says which one was submitted; a note that was changed, cut or of the wrong kind is refused."""
    _sent(tmp_path, 8)
    other = _sent(tmp_path, 8, record="paper-gcn-x-s1", date="2026-10-02")
    with pytest.raises(AnswerError, match="paper-gcn-x-s0 and paper-gcn-x-s1"):
        submit.enter_score(OUT, _key(8), 82.2, "2026-11-21", tmp_path)
    note = server_scores.keep(tmp_path / "local", other)
    submit.enter_score(OUT, _key(8), 82.2, "2026-11-21", tmp_path, note)
    whole = note.read_text()
    for text in (whole.replace("s1", "s2"), whole[:50], "[]", '{"key": 1, "record": "x"}'):
        note.write_text(text)
        with pytest.raises(AnswerError, match="is no note of repro submit"):
            submit.enter_score(OUT, _key(8), 82.3, "2026-11-22", tmp_path, note)


def test_a_note_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Without day, record's checksum and its own."""
    tree = {"key": _key(8), "record": "paper-gcn-x-s0", "profile": "paper", "images": 1456, "sha256": "0" * 64}
    (tmp_path / "a.json").write_text(json.dumps(tree))
    submit.enter_score(OUT, _key(8), 82.2, "2026-11-21", tmp_path, tmp_path / "a.json")
    assert records.load({"local": tmp_path / "local"}).answers[0].record == "paper-gcn-x-s0"


def test_an_answer_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Schema 1 names neither archive nor record."""
    path = tmp_path / "local/scores/x-2026-11-21/score.json"
    path.parent.mkdir(parents=True)
    tree = {"schema": 1, "key": "x", "server": "voc", "miou": 0.8, "date": "2026-11-21"}
    path.write_text(json.dumps(tree))
    assert [answer.miou for answer in records.load({"local": tmp_path / "local"}).answers] == [0.8]
    path.write_text(json.dumps({**tree, "schema": 2}))
    assert "lacks its checksum" in records.load({"local": tmp_path / "local"}).passed_over[0]


def test_an_answer_falls_with_its_record(tmp_path: Path) -> None:
    """The network's record withdrawn, the number is not shown; undone, it is."""
    run = profiles.get("paper").resolve(submitted(all_tables()[8]).training)  # type: ignore[union-attr]
    assert run is not None
    folder = simulate.write(tmp_path / "local", run, 0)
    _sent(tmp_path, 8, record=folder.name)
    submit.enter_score(OUT, _key(8), 82.2, "2026-11-21", tmp_path)
    said = Console(record=True, width=300, file=io.StringIO())
    status.retract_record(said, folder.name, "wrong split", tmp_path)
    assert f"falls with it: {_key(8)}-2026-11-21" in said.export_text()
    shelf = records.load({"local": tmp_path / "local"})
    assert shelf.answers == ()
    assert "which was withdrawn (wrong split)" in shelf.passed_over[0]
    status.restore(OUT, folder.name, tmp_path)
    assert len(records.load({"local": tmp_path / "local"}).answers) == 1


def test_an_empty_answer_of_a_full_disk_is_no_obstacle(tmp_path: Path) -> None:
    """Earlier versions left an empty folder."""
    _sent(tmp_path, 8)
    (tmp_path / "local/scores" / f"{_key(8)}-2026-11-21").mkdir(parents=True)
    submit.enter_score(OUT, _key(8), 82.2, "2026-11-21", tmp_path)
    assert len(records.load({"local": tmp_path / "local"}).answers) == 1


def test_a_withdrawn_answer_comes_back(tmp_path: Path) -> None:
    """Unless a new one has its day; then the sentence says what to do."""
    _sent(tmp_path, 8)
    name = f"{_key(8)}-2026-11-21"
    submit.enter_score(OUT, _key(8), 81.0, "2026-11-21", tmp_path)
    status.retract_record(OUT, name, "typed wrongly", tmp_path)
    submit.enter_score(OUT, _key(8), 82.0, "2026-11-21", tmp_path)
    with pytest.raises(RecordError, match=f"repro retract {name}-retracted-1 --undo"):
        status.restore(OUT, name, tmp_path)
    status.retract_record(OUT, name, "the first was right", tmp_path)
    status.restore(OUT, f"{name}-retracted-1", tmp_path)
    assert [answer.miou for answer in records.load({"local": tmp_path / "local"}).answers] == [0.81]
