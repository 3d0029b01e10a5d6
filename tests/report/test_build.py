"""Tests of repro.report: the command as a user meets it, staleness, faults by name, and what it must not import."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from repro.config.profiles import get
from repro.paper.tables import all_tables
from repro.report import markdown
from repro.report.build import main
from tests.support import ROOT, simulate


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Return a folder of records that fill Table 1 of ``shapes`` with two seeds."""
    simulate.fill(
        tmp_path / "runs" / "reference",
        {1: all_tables()[1]},
        lambda _, order, seed: 0.3 + 0.05 * order + 0.01 * seed,
        seeds=2,
    )
    return tmp_path / "runs"


def call(runs: Path, out: Path, *options: str) -> int:
    """Run the command on some records."""
    return main(["--runs", str(runs), "--out", str(out), "--figures", str(out / "none"), *options])


def test_writes_every_table_and_the_board(runs: Path, tmp_path: Path) -> None:
    """Markdown, LaTeX and CSV of each table, the index, and the document."""
    out = tmp_path / "out"
    assert call(runs, out) == 0
    expected = {f"{table.name}.{form}" for table in all_tables().values() for form in ("md", "tex", "csv")} | {
        "README.md",
        "document.tex",
        "audit.md",
        "audit.tex",
    }
    assert {path.name for path in out.iterdir()} == expected
    assert "holds" in (out / "README.md").read_text()


def test_second_run_writes_nothing(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same records give the same files, which are left alone."""
    call(runs, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    capsys.readouterr()
    assert call(runs, tmp_path / "out") == 0
    assert "up to date" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


def test_the_projects_own_pages_follow_its_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every committed table, page and the claims of README.md are what the reference records give today."""
    monkeypatch.chdir(ROOT)
    assert main(["--format", "md,tex,csv,json,html", "--check"]) == 0


def test_check_names_what_is_stale(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed table and a missing one are named, exit code 1, nothing written."""
    out = tmp_path / "out"
    call(runs, out)
    assert call(runs, out, "--check") == 0
    (out / "table1.md").write_text("old")
    (out / "table2.csv").unlink()
    capsys.readouterr()
    assert call(runs, out, "--check") == 1
    said = capsys.readouterr().out
    assert "table1.md" in said
    assert "table2.csv" in said
    assert said.count("stale: ") == 2
    assert (out / "table1.md").read_text() == "old"


def test_select_and_format(runs: Path, tmp_path: Path) -> None:
    """Only what was asked for is written."""
    assert call(runs, tmp_path / "out", "--select", "table1", "2", "--format", "csv") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"table1.csv", "table2.csv"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--select", "table99"], "table99"),
        (["--select", "tablex"], "tablex"),
        (["--format", "docx"], "docx"),
        (["--profile", "moon"], "moon"),
    ],
)
def test_bad_options_get_one_sentence(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    """An unknown table, format or profile: exit code 2, one line that names it, nothing written."""
    assert call(runs, tmp_path / "out", *options) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file where the folder should be: one sentence with the remedy, exit code 2."""
    (tmp_path / "out").write_text("a file")
    assert call(runs, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "--out" in said
    assert said.count("\n") == 1


def test_local_records_stand_beside_the_reference(runs: Path, tmp_path: Path) -> None:
    """With --local both are shown; without it local records change nothing."""
    out = tmp_path / "out"
    call(runs, out, "--format", "md")
    alone = (out / "table1.md").read_text()
    simulate.fill(runs / "local", {1: all_tables()[1]}, lambda _, order, seed: 0.5 + 0.01 * order + 0.01 * seed)
    assert call(runs, out, "--format", "md", "--check") == 0
    call(runs, out, "--format", "md", "--local")
    both = (out / "table1.md").read_text()
    assert "*local*" in both
    assert "*local*" not in alone


def test_faults_are_in_the_report_and_the_rest_is_rendered(runs: Path, tmp_path: Path) -> None:
    """A torn record, one of another schema, two that disagree, one whose spec is no more: named, the rest stands."""
    reference, profile = runs / "reference", get("shapes")
    run = next(run for run, _ in simulate.runs(all_tables()[1], profile).values())
    simulate.write(reference, run, 0, 0.9, name="another-result")
    simulate.write(reference, run, 5, name="torn")
    (reference / "torn" / "record.json").write_text('{"schema": 1')
    simulate.write(reference, run, 6, name="from-the-future", schema=99)
    simulate.write(reference, run, 7, name="spec-is-no-more", key="0123456789")
    assert call(runs, tmp_path / "out", "--format", "md") == 0
    board = (tmp_path / "out" / "README.md").read_text()
    for name in ("another-result", "torn", "from-the-future", "spec-is-no-more"):
        assert name in board
    table = (tmp_path / "out" / "table1.md").read_text()
    assert "disagree" in table
    assert "(2)" in table


def test_faults_are_named_in_every_format(runs: Path, tmp_path: Path) -> None:
    """What no table can show, a record of an unknown profile too, stands in the page, the document and the JSON."""
    reference, profile = runs / "reference", get("shapes")
    run = next(run for run, _ in simulate.runs(all_tables()[1], profile).values())
    simulate.write(reference, run, 6, name="from-the-future", schema=99)
    simulate.write(reference, run, 7, name="spec-is-no-more", key="0123456789")
    simulate.write(reference, run, 8, name="profile-is-no-more", key="abcdef0123", profile="moon")
    assert call(runs, tmp_path / "out", "--format", "md,tex,json,html") == 0
    for name in ("README.md", "document.tex", "report.json", "report.html"):
        text = (tmp_path / "out" / name).read_text()
        for record in ("from-the-future", "spec-is-no-more", "profile-is-no-more"):
            assert record in text, name


def test_a_folder_of_records_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped --runs is refused; it would have rendered every cell as not run."""
    assert call(tmp_path / "none", tmp_path / "out") == 2
    assert "--runs" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_select_the_audit(runs: Path, tmp_path: Path) -> None:
    """The audit's page can be asked for alone."""
    assert call(runs, tmp_path / "out", "--select", "audit") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"audit.md", "audit.tex"}


def test_the_audit_holds_nothing_of_the_records(runs: Path, tmp_path: Path) -> None:
    """With records and without, the audit's bytes are the same."""
    (tmp_path / "empty").mkdir()
    for folder, out in ((runs, "one"), (tmp_path / "empty", "two")):
        assert call(folder, tmp_path / out, "--select", "audit") == 0
    for name in ("audit.md", "audit.tex"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_claims_of_the_readme(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page's claims are written between its marks, found stale by --check, and refused where there are no marks."""
    page, out = tmp_path / "README.md", tmp_path / "out"
    page.write_text(f"mine\n{markdown.START}\nold\n{markdown.END}\nmine too\n")
    options = ("--format", "csv", "--readme", str(page))
    assert call(runs, out, *options, "--check") == 1
    assert f"stale: {page}" in capsys.readouterr().out
    assert call(runs, out, *options) == 0
    assert page.read_text().startswith("mine\n")
    assert "(out/README.md), " in page.read_text()
    assert call(runs, out, *options, "--check") == 0
    page.write_text("no marks")
    assert call(runs, out, *options) == 2
    assert "--readme" in capsys.readouterr().err


def test_the_readme_of_the_project_has_the_marks() -> None:
    """The README's claims are written by the report: ``python -m repro.report --check`` names it when stale."""
    assert markdown.splice((ROOT / "README.md").read_text(encoding="utf-8"), "") is not None


def test_never_reaches_torch_and_starts_at_once(runs: Path, tmp_path: Path) -> None:
    """A fresh process renders Markdown without torch, scipy.stats or matplotlib."""
    code = (
        "import sys; from repro.report.build import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'torchvision', 'scipy.stats', 'matplotlib', 'cv2', 'PIL'};"
        "heavy &= set(sys.modules); print('heavy:', sorted(heavy)); sys.exit(code)"
    )
    start = time.process_time(), os.times().children_user
    done = subprocess.run(
        [sys.executable, "-c", code, "--runs", str(runs), "--out", str(tmp_path / "out"), "--format", "md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "heavy: []" in done.stdout
    assert os.times().children_user - start[1] < 3.0


def test_the_import_check_can_fail() -> None:
    """The same look at the modules sees torch once something imports it."""
    code = "import sys, json; sys.modules['torch'] = json; print({'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" in done.stdout
