"""Withdraw records and answers: a file beside them gives the reason; nothing is deleted, and it can be undone."""

from __future__ import annotations

import json
import re
from pathlib import Path

from repro.config.io import atomic_write, through
from repro.results import sealed

FILE = "retracted.json"
_MOST = 1000
"""Withdrawn folders of one name."""
_ASIDE = re.compile(r"(.+)-retracted-\d+")


def withdrawn(folder: Path) -> bool:
    """Return whether a folder was withdrawn."""
    return (folder / FILE).exists()


def withdraw(folder: Path, why: str) -> None:
    """Withdraw a folder, readable or not, with the reason; raise ``OSError`` where the file cannot be written."""
    atomic_write(folder / FILE, json.dumps({"why": why}, ensure_ascii=False) + "\n")


def reason(folder: Path) -> str:
    """Return in one line the reason of a withdrawal, or that it cannot be read."""
    try:
        tree = sealed.read(folder / FILE)
    except (OSError, ValueError):
        return "the reason cannot be read"
    return in_one_line(str(tree.get("why", ""))) if isinstance(tree, dict) else "the reason cannot be read"


def in_one_line(text: str) -> str:
    """Return a text without line breaks and terminal control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def move_aside(folder: Path) -> None:
    """Rename a withdrawn folder, to free its name; raise ``OSError`` where that fails."""
    names = (folder.with_name(f"{folder.name}-retracted-{n}") for n in range(1, _MOST))
    folder.replace(next(path for path in names if not path.exists()))


def first_name(name: str) -> str:
    """Return the name of a folder before it was moved aside; its name where it was not."""
    found = _ASIDE.fullmatch(name)
    return found[1] if found else name


def moved_aside(root: Path, name: str) -> list[Path]:
    """Return the withdrawn folders of a name that were moved aside, in that order."""
    found = [path for path in root.glob("*-retracted-*") if first_name(path.name) == name and withdrawn(path)]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def restore(folder: Path) -> Path:
    """Undo a withdrawal under the folder's first name, which must be free; return the folder.

    Raises:
        OSError: a file cannot be changed; the folder is still withdrawn.
    """
    target = folder.with_name(first_name(folder.name))
    if folder != target:
        folder.replace(target)
    (target / FILE).unlink()
    through(target)
    return target
