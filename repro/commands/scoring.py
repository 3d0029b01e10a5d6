"""`repro score`: enter what a test server answered, so that Tables 8 and 10 show it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from repro import answers, profiles
from repro.answers import AnswerError, Submission
from repro.machine import Machine
from repro.profiles import Profile
from repro.spec import Submitted, Table
from repro.specs import tables

LEAST = 1.0
"""Per cent; servers print per cent, and a smaller number is a fraction typed by mistake."""


def submitted(table: Table) -> Submitted | None:
    """Return the cell of a table that only a test server can fill, or None."""
    return next((cell for cell in table.cells() if isinstance(cell, Submitted)), None)


def known() -> Iterator[tuple[str, Table, str, str]]:
    """Yield (key, table, profile, recipe) of every run whose predictions a server can score."""
    cells = [(table, cell) for table in tables().values() if (cell := submitted(table))]
    for table, cell in cells:
        for profile in profiles.PROFILES.values():
            for recipe in _recipes(profile):
                run = profiles.get(profile.name, recipe=recipe).resolve(cell.training, cell.evaluation)
                if run is not None:
                    yield run.key, table, profile.name, recipe


def _recipes(profile: Profile) -> list[str]:
    """Return the recipes that a user can choose: those that no role keeps for itself."""
    own = {role.recipe for role in profile.roles.values()}
    return [name for name in profile.recipes if name not in own]


def score(out: Console, key: str, miou: float, date: str, runs: Path, note: Path | None = None) -> None:
    """Enter an answer to an archive that ``repro submit`` wrote.

    Args:
        out: where to say so.
        key: of the submitted run, as ``repro submit`` printed it.
        miou: in per cent, as the server prints it.
        date: its day; empty: today.
        runs: folder of the records.
        note: what ``repro submit`` wrote beside the archive, where that was on another machine.

    Raises:
        AnswerError: the key is of no table's run, no archive of it was written, or the score or the day is impossible.
    """
    found = [(table, profile, recipe) for own, table, profile, recipe in known() if own == key]
    if not found:
        listed = "; ".join(f"{own} (table{t.number}, {p}, recipe {r})" for own, t, p, r in known())
        raise AnswerError(f"{key}: no table submits a run of this key; known are {listed}")
    if 0 < miou < LEAST:
        raise AnswerError(f"a mean IoU of {miou:g} %: write per cent as the server prints it, such as 82.2")
    table, profile, _ = found[0]
    cell = submitted(table)
    assert cell is not None
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    local = Machine(runs=runs).local
    answer = answers.append(local, cell.server, round(miou / 100, 8), date or today, _submission(key, local, note))
    out.print(f"entered: {miou:g} % of {answer.date} for table{table.number}, profile {profile}, predictions of "
              f"{answer.record} ({answer.folder})", soft_wrap=True, markup=False)  # fmt: skip


def _submission(key: str, local: Path, note: Path | None) -> Submission:
    """Return the archive that an answer belongs to: the one of a note, else the last that was written here."""
    if note is not None:
        found = answers.read_note(note)
        if found.key != key:
            raise AnswerError(f"--note {note}: is of key {found.key}, not of {key}; give the one that was submitted")
        return found
    written = answers.submissions(local, key)
    if len(names := sorted({one.record for one in written})) > 1:
        raise AnswerError(
            f"{key}: archives of {' and '.join(names)} were written; say which one was submitted: --note ARCHIVE.json"
        )
    return written[-1]
