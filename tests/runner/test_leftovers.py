"""Files that killed processes leave are told, and removed by whoever holds the lock next; locks that cannot be had."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import filelock
import pytest
from click.testing import CliRunner

from repro.cli.app import app
from repro.config.errors import CheckpointError, DataError, WorkError
from repro.config.io import PARTIAL, STALE_SECONDS, HeldError, LockError, atomic_write, locked
from repro.data import cache as stores
from repro.data import load
from repro.runner import leftovers, worker
from repro.training import checkpoint
from tests.support.short_runs import child, execute, job, place, record

PART = ".shapes-train-0123abcd.k3x_9a"


def _left(folder: Path, size: int = 10) -> Path:
    """Make a folder with a file, as a killed process leaves it."""
    folder.mkdir(parents=True)
    (folder / "pixels.bin").write_bytes(bytes(size))
    return folder


def test_parts_of_a_store_go_when_its_lock_is_held_next(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Those of this store, each with a line; another store's stay: its process may live."""
    dataset = load("shapes", "test", None)
    name = stores._folder_name(dataset)
    mine, old = _left(tmp_path / f".{name}.abc"), _left(tmp_path / f".{name}.old.abc")
    other = _left(tmp_path / PART)
    stores.open_store(dataset, tmp_path)
    assert not mine.exists()
    assert not old.exists()
    assert other.exists()
    assert caplog.text.count("left, removed") == 2


def test_the_cache_is_listed_and_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores and parts with sizes; --clear takes the parts whose lock is free, --all stores too; no other folder."""
    monkeypatch.setenv("REPRO_CACHE", str(tmp_path / "cache"))
    invoke = CliRunner().invoke
    assert json.loads(invoke(app, ["cache", "--json"]).output)["content"] == []
    dataset = load("shapes", "test", None)
    store = stores.open_store(dataset).folder
    _left(tmp_path / "cache" / PART)
    _left(tmp_path / "cache/mine")
    (tmp_path / "cache/.shapes-val-0123abcd.link").symlink_to(tmp_path)
    rows = {row["name"]: row for row in json.loads(invoke(app, ["cache", "--json"]).output)["content"]}
    assert {name: row["state"] for name, row in rows.items()} == {PART: "left by a killed process", store.name: "store"}
    assert rows[PART]["bytes"] == 10
    shown = invoke(app, ["cache"]).output
    assert "--clear removes" in shown
    assert store.name in shown
    with locked(tmp_path / "cache/shapes-train-0123abcd.lock"):
        assert "being decoded" in invoke(app, ["cache", "--clear"]).output
        assert (tmp_path / "cache" / PART).exists()
    assert "removed" in invoke(app, ["cache", "--clear"]).output
    assert not (tmp_path / "cache" / PART).exists()
    assert stores.kept(dataset) is not None
    assert invoke(app, ["cache", "--all"]).exit_code == 2
    invoke(app, ["cache", "--clear", "--all"])
    assert stores.kept(dataset) is None
    assert (tmp_path / "cache/mine").exists()
    assert tmp_path.exists()


def test_what_is_left_of_a_job_goes_with_its_lock(tmp_path: Path, cache: Path) -> None:
    """Partial records and files before it goes on; folder and lock, at the end or by the next command, where it ended.

    Status says which run is unfinished and which only has a folder left.
    """
    where, task = place(tmp_path, cache), job(3)
    other = _left(where.local / ".other-run.abc")
    part, aside = _left(where.local / f".{task.name}.abc"), where.work / task.name / f".ab{PARTIAL}"
    aside.parent.mkdir(parents=True)
    aside.write_bytes(b"x")
    with worker.held(task.name, where) as word:
        assert word == "go"
        assert not part.exists()
        assert not aside.exists()
    assert other.exists()
    status = CliRunner().invoke(app, ["status", "table2", "--runs", str(tmp_path)]).output
    assert f"unfinished: {task.name}" in status
    assert execute(task, where).status == "ok"
    assert list(where.work.iterdir()) == []
    _left(where.work / task.name)
    status = CliRunner().invoke(app, ["status", "table2", "--runs", str(tmp_path)]).output
    assert "unfinished" not in status
    assert "left by a killed process" in status
    with locked(where.work / f"{task.name}.lock"):
        leftovers.tidy_finished([task.name], where)
        assert (where.work / task.name).exists()
    leftovers.tidy_finished([task.name], where)
    assert list(where.work.iterdir()) == []
    assert (record(where, task) / "record.json").exists()


def test_a_partial_file_of_a_killed_writer_goes_with_the_next_write(tmp_path: Path) -> None:
    """After an hour: a younger one may be another process's."""
    old, young = tmp_path / f".0123456789abcdef{PARTIAL}", tmp_path / f".fedcba9876543210{PARTIAL}"
    for path in (old, young):
        path.write_bytes(b"half")
    long_ago = old.stat().st_mtime - STALE_SECONDS
    os.utime(old, (long_ago, long_ago))
    atomic_write(tmp_path / "a", "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, "a"]


def _refuse(code: int) -> Any:
    def acquire(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return acquire


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Not as a full disk: the lock, and a remedy that helps."""
    monkeypatch.setattr(filelock.FileLock, "acquire", _refuse(code))
    with pytest.raises(WorkError, match=r"job\.lock: its file system has no locks: use") as said:
        worker.held("job", place(tmp_path, cache)).__enter__()
    assert "free space" not in str(said.value)
    with pytest.raises(DataError, match=r"\.lock: its file system has no locks: use") as other:
        stores.open_store(load("shapes", "test", None), tmp_path / "new")
    assert "free space" not in str(other.value)


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links")
def test_a_link_in_a_locks_place_is_named(tmp_path: Path) -> None:
    """It is not followed, and its target stays."""
    (tmp_path / "target").write_text("mine")
    (tmp_path / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(LockError, match="symbolic link"), locked(tmp_path / "lock"):
        pass
    assert (tmp_path / "target").read_text() == "mine"


def _hold(path: str) -> None:
    with locked(Path(path), wait=False):
        pass


def test_a_lock_of_another_process(tmp_path: Path) -> None:
    """Held: said as such, and free again afterwards."""
    with locked(tmp_path / "lock"):
        other = child(_hold, str(tmp_path / "lock"))
        other.join(100)
        assert other.exitcode == 1
        with pytest.raises(HeldError), locked(tmp_path / "lock", wait=False):
            pass
    _hold(str(tmp_path / "lock"))


@pytest.mark.parametrize("step", [10**9, 11, -1, "7", 3.5])
def test_a_checkpoint_of_a_step_that_the_run_has_not_is_refused(tmp_path: Path, step: Any) -> None:
    """An untrained network would be recorded as trained."""
    payload = checkpoint._packed({}, step, "key", None)
    checkpoint._store(tmp_path, 5, payload)
    with pytest.raises(CheckpointError, match=f"names step {step} of a training of 10, .* remove the folder"):
        checkpoint.resume(tmp_path, {}, "key", steps=10)
    checkpoint.save(tmp_path, {}, 10, "key")
    assert checkpoint.resume(tmp_path, {}, "key", steps=10) == 10
