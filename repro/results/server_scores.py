"""Submissions to test servers and their answers: small files, written once; answers can be withdrawn."""

from __future__ import annotations

import datetime as dt
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.config.errors import AnswerError
from repro.config.io import atomic_write, through
from repro.results import sealed
from repro.results.retraction import move_aside, withdrawn

SCHEMA = 2
"""Of written answers: 2 names the archive and the record, and has a checksum of its content."""
READABLE = (1, 2)
FOLDER, SUBMITTED = "scores", "submissions"
"""Folders below a root of records: one folder an answer, one file an archive."""
FILE = "score.json"
_DAY = dt.timedelta(days=1)
_EAST = dt.timedelta(hours=14)
"""Offset of the first time zone from UTC."""


@dataclass(frozen=True)
class Submission:
    """The note of an archive for a test server, stored beside the archive and under the records."""

    key: str
    """Of the run that made the predictions, under the protocol that was submitted."""
    record: str
    """Name of the record whose weights made them."""
    record_sha256: str
    """Of that record's ``record.json``."""
    sha256: str
    """Of the archive."""
    profile: str
    images: int
    date: str = ""
    """Day of the archive (UTC); notes of earlier versions lack it, and ``record_sha256``."""

    def text(self) -> str:
        """Return the note."""
        return sealed.seal(vars(self))


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
    record: str = ""
    """Name of the record that made the predictions; answers of schema 1 lack it and the following fields."""
    record_sha256: str = ""
    archive: str = ""
    """sha256 of the archive that was submitted."""

    @property
    def name(self) -> str:
        """The folder's name, which ``repro retract`` takes."""
        return self.folder.name


def load(
    roots: Mapping[str, Path], lost: Mapping[str, Callable[[str, str], str]]
) -> tuple[tuple[Answer, ...], tuple[str, ...]]:
    """Read every answer under some roots (place -> folder); return them by date, and the reasons of those passed over.

    Args:
        roots: folders of records by place.
        lost: by place, a function from a record's name and digest to why it was withdrawn or replaced ("" if not).
    """
    found: list[Answer] = []
    passed_over: list[str] = []
    for place, root in roots.items():
        for path in sorted((root / FOLDER).glob(f"*/{FILE}")):
            if path.parent.name.startswith(".") or withdrawn(path.parent):
                continue
            try:
                answer = _read(path, place)
            except (OSError, ValueError, KeyError, TypeError) as error:
                passed_over.append(f"{path}: unreadable, passed over and left in place ({error})")
                continue
            if answer.record and (why := lost[place](answer.record, answer.record_sha256)):
                passed_over.append(f"{path}: answers predictions of {why}, passed over")
            else:
                found.append(answer)
    return tuple(sorted(found, key=lambda answer: (answer.date, answer.name))), tuple(passed_over)


def _read(path: Path, place: str) -> Answer:
    tree = sealed.read(path)
    if why := sealed.unreadable(tree, READABLE):
        raise AnswerError(why)
    miou = float(tree["miou"])
    _check(miou)
    more = {name: str(tree.get(name, "")) for name in ("record", "record_sha256", "archive")}
    return Answer(str(tree["key"]), str(tree["server"]), miou, day(str(tree["date"])), path.parent, place, **more)


def latest(answers: Iterable[Answer], key: str) -> Answer | None:
    """Return the last answer to a run's predictions, or None."""
    return max((a for a in answers if a.key == key), key=lambda a: (a.date, a.name), default=None)


def append(root: Path, server: str, miou: float, date: str, submission: Submission) -> Answer:
    """Write an answer under ``root`` atomically; refuse a different one of the same day.

    The same answer again changes nothing. A withdrawn one of its name is moved aside.

    Args:
        root: folder of records, such as ``runs/local``.
        server: ``voc`` or ``cityscapes``.
        miou: what the server answered, a fraction.
        date: its day, ``YYYY-MM-DD``.
        submission: the archive that it answers.

    Raises:
        AnswerError: the score or the day is impossible, another answer of that day exists, or the disk refuses.
    """
    _check(miou)
    date = _checked(date, submission)
    folder = root / FOLDER / f"{submission.key}-{date}"
    answer = Answer(
        submission.key, server, miou, date, folder, "local", submission.record, submission.record_sha256,
        submission.sha256,
    )  # fmt: skip
    if (folder / FILE).exists() and not withdrawn(folder):
        if _same(folder, answer):
            return answer
        msg = f"{folder}: an answer is never overwritten; retract it first (repro retract {folder.name} --why ...)"
        raise AnswerError(msg)
    try:
        _put(folder, answer)
    except OSError as error:
        msg = (
            f"{folder}: the answer cannot be written ({error.strerror or error}); "
            "free space or choose another --runs folder, and enter it again"
        )
        raise AnswerError(msg) from error
    return answer


def _same(folder: Path, answer: Answer) -> bool:
    try:
        return _read(folder / FILE, "local") == answer
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _put(folder: Path, answer: Answer) -> None:
    """Write an answer's folder under another name, sync it to disk, and rename it."""
    names = ("key", "server", "miou", "date", "record", "record_sha256", "archive")
    tree = {"schema": SCHEMA, **{name: getattr(answer, name) for name in names}}
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        atomic_write(aside / FILE, sealed.seal(tree))
        aside.chmod(0o755)
        if withdrawn(folder):
            move_aside(folder)
        elif folder.is_dir():  # an empty one, which earlier versions left on a full disk
            folder.rmdir()
        aside.replace(folder)
        through(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _check(miou: float) -> None:
    if not (math.isfinite(miou) and 0 < miou <= 1):
        msg = f"a mean IoU of {100 * miou:g} % is impossible; it lies above 0 and is 100 at most"
        raise AnswerError(msg)


def _checked(date: str, submission: Submission) -> str:
    """Return a day; refuse one in the future of every time zone, or before the archive in every one."""
    given = dt.date.fromisoformat(day(date))
    last = (dt.datetime.now(tz=dt.UTC) + _EAST).date()
    if given > last:
        raise AnswerError(f"--date {date}: lies in the future; give the day on which the server answered")
    if submission.date and given < dt.date.fromisoformat(submission.date) - _DAY:
        raise AnswerError(
            f"--date {date}: the archive was written on {submission.date}, after it; give the day of the answer"
        )
    return given.isoformat()


def day(text: str) -> str:
    """Return a day in ISO format; raise ``AnswerError`` where the text is no date."""
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError as error:
        msg = f"--date {text}: is no day; write it as 2026-11-21"
        raise AnswerError(msg) from error


def keep(root: Path, submission: Submission) -> Path:
    """Write the note of an archive under a root of records; return the file.

    Raises:
        AnswerError: the disk refuses.
    """
    path = root / SUBMITTED / f"{submission.record}-{submission.sha256[:12]}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, submission.text())
    except OSError as error:
        raise AnswerError(f"{path}: cannot be written ({error.strerror or error}); free space") from error
    return path


def read_note(path: Path) -> Submission:
    """Read the note of an archive.

    Raises:
        AnswerError: it cannot be read, or was changed.
    """
    try:
        tree: Any = sealed.read(path)
        if sealed.CHECKSUM in tree and (why := sealed.broken(tree)):
            raise ValueError(f"it {why}")  # noqa: TRY301 - becomes the sentence below
        texts = {name: tree.get(name, "") for name in ("record_sha256", "date")}
        found = Submission(
            key=tree["key"], record=tree["record"], sha256=tree["sha256"], profile=tree["profile"],
            images=tree["images"], **texts,
        )  # fmt: skip
        if not all(isinstance(value, str) for name, value in vars(found).items() if name != "images"):
            raise ValueError("a field is of the wrong kind")  # noqa: TRY301 - as above
        if found.date:
            dt.date.fromisoformat(found.date)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnswerError(
            f"{path}: is no note of repro submit ({sealed.cause(error)}); give the file beside the archive"
        ) from error
    return found


def submissions(root: Path, key: str) -> list[Submission]:
    """Return the notes of every archive of a run under a root of records, by date.

    Raises:
        AnswerError: none was; the sentence names the notes that cannot be read.
    """
    found, faults = [], []
    for path in sorted((root / SUBMITTED).glob("*.json")):
        try:
            found.append(read_note(path))
        except AnswerError as error:
            faults.append(f" ({error})")
    mine = sorted((one for one in found if one.key == key), key=lambda one: (one.date, one.sha256))
    if not mine:
        raise AnswerError(
            f"{key}: no archive of this run was written here with repro submit, so no server can have scored it; one "
            f"of another machine has a note beside it: give it with --note ARCHIVE.json{''.join(faults)}"
        )
    return mine
