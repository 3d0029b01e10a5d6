"""Tests of repro.config.io."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from repro.config.io import atomic_write
from tests.support.files import snapshot


def test_a_file_keeps_its_permissions_and_its_link(tmp_path: Path) -> None:
    """A new one has those that any new file has; a link's target is replaced, not the link."""
    old, link, new, usual = (tmp_path / name for name in ("old", "link", "new", "usual"))
    old.write_text("a")
    old.chmod(0o640)
    link.symlink_to(old)
    atomic_write(link, "ä")
    assert link.is_symlink()
    assert old.read_bytes() == "ä".encode()
    assert old.stat().st_mode & 0o777 == 0o640
    usual.write_text("")
    atomic_write(new, b"\0\r\n")
    assert new.read_bytes() == b"\0\r\n"
    assert new.stat().st_mode == usual.stat().st_mode


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """Neither a folder nor a device."""
    with pytest.raises(OSError, match="directory"):
        atomic_write(tmp_path, "x")
    if Path("/dev/null").exists():
        with pytest.raises(OSError, match="not a regular file"):
            atomic_write(Path("/dev/null"), "x")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        atomic_write(tmp_path / "none" / "x", "x")


def test_interrupted_in_the_middle_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C before the renaming: the old file, and no other."""
    (tmp_path / "x").write_text("old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "x", "new")
    assert snapshot(tmp_path) == {"x": b"old"}
