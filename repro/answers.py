"""What a test server answered: one small file an answer, written once, retracted by a file beside it."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from repro.withdrawn import move_aside, withdraw, withdrawn

SCHEMA = 1
FOLDER = "scores"
"""Below a root of records, one folder an answer."""


class AnswerError(ValueError):
    """An answer that cannot be entered or read, in one sentence."""


@dataclass(frozen=True)
class Answer:
    """One number that a test server gave for the predictions of a run."""

    key: str
    """Of the run that made the predictions, under the protocol that was submitted."""
    server: str
    miou: float
    """A fraction."""
    date: str
    """Day of the answer, such as 2026-11-21."""
    folder: Path
    place: str = "local"

    @property
    def name(self) -> str:
        """The folder's name, which ``repro retract`` takes."""
        return self.folder.name


def load(roots: Mapping[str, Path]) -> tuple[tuple[Answer, ...], tuple[str, ...]]:
    """Read every answer under some roots (place -> folder); return them by date, and why others were passed over."""
    found: list[Answer] = []
    passed_over: list[str] = []
    for place, root in roots.items():
        for path in sorted((root / FOLDER).glob("*/score.json")):
            if withdrawn(path.parent):
                continue
            try:
                found.append(_read(path, place))
            except (OSError, ValueError, KeyError, TypeError) as error:
                passed_over.append(f"{path}: unreadable, passed over and left in place ({error})")
    return tuple(sorted(found, key=lambda answer: (answer.date, answer.name))), tuple(passed_over)


def _read(path: Path, place: str) -> Answer:
    tree = json.loads(path.read_text(encoding="utf-8"))
    if tree["schema"] != SCHEMA:
        msg = f"schema {tree['schema']!r} is unknown to this version"
        raise AnswerError(msg)
    miou = float(tree["miou"])
    _check(miou)
    return Answer(str(tree["key"]), str(tree["server"]), miou, day(str(tree["date"])), path.parent, place)


def latest(answers: Iterable[Answer], key: str) -> Answer | None:
    """Return the last answer to a run's predictions, or None."""
    return max((a for a in answers if a.key == key), key=lambda a: (a.date, a.name), default=None)


def append(root: Path, key: str, server: str, miou: float, date: str) -> Answer:
    """Write an answer under ``root``; refuse a second one of the same day.

    Args:
        root: folder of records, such as ``runs/local``.
        key: of the submitted run.
        server: ``voc`` or ``cityscapes``.
        miou: what the server answered, a fraction.
        date: its day, ``YYYY-MM-DD``.

    Raises:
        AnswerError: the score or the day is impossible, an answer of that day exists, or the disk refuses.
    """
    _check(miou)
    folder = root / FOLDER / f"{key}-{day(date)}"
    tree = {"schema": SCHEMA, "key": key, "server": server, "miou": miou, "date": date}
    try:
        folder.mkdir(parents=True)
        (folder / "score.json").write_text(json.dumps(tree, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    except FileExistsError as error:
        msg = f"{folder}: an answer is never overwritten; retract it first (repro retract {folder.name} --why ...)"
        raise AnswerError(msg) from error
    except OSError as error:
        msg = f"{folder}: the answer cannot be written ({error.strerror or error}); choose another --runs folder"
        raise AnswerError(msg) from error
    return Answer(key, server, miou, date, folder)


def retract(answer: Answer, why: str) -> None:
    """Withdraw an answer by a file beside it that says why, under a name that frees its own for the right one."""
    withdraw(answer.folder, why)
    move_aside(answer.folder)


def _check(miou: float) -> None:
    if not (math.isfinite(miou) and 0 < miou <= 1):
        msg = f"a mean IoU of {100 * miou:g} % is impossible; it lies above 0 and is 100 at most"
        raise AnswerError(msg)


def day(text: str) -> str:
    """Return a day as it stands; raise ``AnswerError`` where it is none."""
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError as error:
        msg = f"--date {text}: is no day; write it as 2026-11-21"
        raise AnswerError(msg) from error
