"""Records and answers that were withdrawn: a file beside them says why, and nothing is deleted."""

from __future__ import annotations

import json
from pathlib import Path

_FILE = "retracted.json"
_MOST = 1000
"""Withdrawn folders of one name."""


def withdrawn(folder: Path) -> bool:
    """Say whether what lies in a folder was withdrawn."""
    return (folder / _FILE).exists()


def withdraw(folder: Path, why: str) -> None:
    """Withdraw what lies in a folder, readable or not, with the reason."""
    (folder / _FILE).write_text(json.dumps({"why": why}, ensure_ascii=False) + "\n", encoding="utf-8")


def move_aside(folder: Path) -> None:
    """Free a withdrawn folder's name for the right one."""
    names = (folder.with_name(f"{folder.name}-retracted-{n}") for n in range(1, _MOST))
    folder.replace(next(path for path in names if not path.exists()))
