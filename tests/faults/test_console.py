"""The process of a command: Ctrl-C at any moment, output that cannot be written, text that a terminal would obey."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

from repro.cli.app import main
from repro.cli.options import CleanConsole
from repro.config import console
from repro.report import build
from tests.support import ROOT

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX streams and signals")
RUN = ("repro", "run", "table2", "--steps", "3", "--only", "gcn-k3", "--jobs", "1")


def _start(cwd: Path, *words: str, shell: str = "", **options: Any) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "REPRO_CACHE": str(cwd / "cache")}
    command = ["sh", "-c", f'exec "$0" -m "$@" {shell}', sys.executable, *words]
    return subprocess.Popen(command, cwd=cwd, env=env, stderr=subprocess.PIPE, text=True, **options)


@posix
@pytest.mark.parametrize(
    "words",
    [("repro", "--help"), ("repro", "status"), ("repro.report", "--check"), ("repro", "nothing")],
    ids=" ".join,
)
@pytest.mark.parametrize("shell", [">&- 2>&- <&-", "> /dev/full"])
def test_output_that_cannot_be_written_is_no_trace(words: tuple[str, ...], shell: str) -> None:
    """A closed stream is the null device; a full disk is one sentence and an exit code that is not 0."""
    if "full" in shell and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    process = _start(ROOT, *words, shell=shell)
    _, said = process.communicate(timeout=100)
    mistake = words[-1] == "nothing"
    assert process.returncode == (2 if mistake else int("full" in shell))
    assert len(said.splitlines()) == int("2>" not in shell and ("full" in shell or mistake)), said


@posix
def test_a_reader_that_leaves_ends_a_command_quietly(tmp_path: Path) -> None:
    """`| head -1`: exit code 141 and not a word."""
    reader, writer = os.pipe()
    os.close(reader)
    process = _start(tmp_path, "repro", "list", stdout=writer)
    os.close(writer)
    assert (process.communicate(timeout=100)[1], process.returncode) == ("", console.BROKEN_PIPE)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("kind", ["full", "pipe"])
def test_a_training_survives_its_display(tmp_path: Path, kind: str) -> None:
    """A log on a full disk, a pipe whose reader is gone: the record is made all the same."""
    reader, writer = os.pipe()
    os.close(reader)
    process = _start(tmp_path, *RUN, shell="> /dev/full" if kind == "full" else "", stdout=writer)
    os.close(writer)
    _, said = process.communicate(timeout=300)
    assert list((tmp_path / "runs/local").glob("*/record.json")), said
    assert process.returncode == (1 if kind == "full" else console.BROKEN_PIPE)
    assert "Traceback" not in said
    assert said.count("not all of the output could be written") == (kind == "full")


@posix
@pytest.mark.parametrize("words", [("repro.report", "--out", "out"), ("repro", "cost", "all")])
def test_ctrl_c_is_one_line_from_the_imports_on(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Asked at moments spread over the command, once Python itself has started: exit code 130 and one line."""
    started = (
        "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from repro.config import console; console.begin(); print(flush=True);"
        "name, *sys.argv[1:] = sys.argv[1:]; runpy.run_module(name, run_name='__main__', alter_sys=True)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    for moment in (0.0, 0.05, 0.1, 0.2):
        process = subprocess.Popen(
            [sys.executable, "-c", started, *words], cwd=ROOT if words[-1] != "out" else tmp_path, env=env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moment)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=100)
        if process.returncode not in {0, 2}:  # done before, or nothing to be done there
            # Python itself ends by the signal where it came within an ``exec``: a shell shows 130 for both.
            assert process.returncode in {console.INTERRUPTED, -signal.SIGINT}, said
            assert said.strip() == console.STOPPED.strip()


def test_a_terminal_is_never_obeyed() -> None:
    """Escapes in plain text, in a cell, in a styled text; rich's own colours stay."""
    file, bad = io.StringIO(), "a\x1b[31mb\x1b]0;title\x07\u202ec\x9b2J\rd"
    shown = CleanConsole(file=file, highlight=False, force_terminal=True, color_system="standard", width=200)
    table = Table("name")
    table.add_row(bad)
    for what in (bad, table, Text(bad, style="red")):
        shown.print(what, markup=False, soft_wrap=True)
    text = file.getvalue()
    assert text.count(r"a\x1b[31mb\x1b]0;title\u202ec\x9b2Jd") >= 2  # rich drops the bell and the return itself
    assert "\x1b[31ma" in text  # the style of the third
    assert not any(mark in text for mark in ("\x07", "\x9b", "\u202e", "\x1b]", "\r"))
    assert console.clean("a\tb\nc é 漢") == "a\tb\nc é 漢"


def _said(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that is refused in this process; return what it said."""
    monkeypatch.setattr(sys, "argv", list(words))
    work = build.main if words[0] == "repro.report" else main
    with pytest.raises(SystemExit) as ended:
        console.run(lambda: work)
    assert ended.value.code in {1, 2}
    shown = capsys.readouterr()
    return shown.out + shown.err


@pytest.mark.parametrize("words", [
    ("repro", "status", "--runs", "\x1b]0;x\x07", "\x1b[2J"), ("repro", "list", "\x1b[2J"),
    ("repro", "run", "\x1b[2J"), ("repro", "retract", "\x1b[2J", "--why", "\x1b[2J"), ("repro", "\x1b[2J"),
    ("repro.report", "--runs", "\x1b[2J"), ("repro.report", "--\x1b[2J"),
])  # fmt: skip
def test_no_command_passes_an_escape_on(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names that a command repeats are written out."""
    said = _said(words, monkeypatch, capsys)
    assert "\x1b" not in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("words", [
    ("repro", "status", "--runs"), ("repro", "retract", "--why", "x"), ("repro", "plan", "2", "--runs"),
    ("repro.report", "--runs"), ("repro", "data", "check", "voc", "--data-root"), ("repro", "data", "boundary"),
    ("repro", "run", "2", "--runs"), ("repro", "export", "--key"), ("repro", "predict", "--key", "x"),
], ids=" ".join)  # fmt: skip
def test_a_name_longer_than_the_system_knows_is_one_sentence(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """300 characters, where a file or a folder is expected."""
    assert len(_said((*words, "x" * 300), monkeypatch, capsys).splitlines()) == 1
