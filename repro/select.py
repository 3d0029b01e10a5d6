"""What a user names on the command line: tables, profiles, seeds."""

from __future__ import annotations

import re

from repro.spec import SpecError, Table
from repro.specs import printed, tables


def select_tables(words: list[str]) -> list[Table]:
    """Return the tables named by ``table2``, ``2``, ``1,3-5``, an own name or ``all``, each once, in order.

    Raises:
        SpecError: a word names no table.
    """
    known = tables()
    own = {table.own: number for number, table in known.items() if table.own}
    numbers: list[int] = []
    for word in ",".join(words).replace(" ", "").lower().split(","):
        numbers += known if word == "all" else [own[word]] if word in own else _numbers(word, list(own))
    return [known[number] for number in sorted(set(numbers))]


def _numbers(word: str, own: list[str]) -> list[int]:
    known = list(printed())
    match = re.fullmatch(r"(?:tables?)?(\d+)(?:-(\d+))?", word)
    wanted = list(range(int(match[1]), int(match[2] or match[1]) + 1)) if match else []
    if not wanted or not set(wanted) <= set(known):
        others = "".join(f", {name}" for name in own)
        msg = (
            f"{word!r} is no table of the paper; choose table{known[0]} to table{known[-1]}{others}, "
            "or all (see repro list)"
        )
        raise SpecError(msg)
    return wanted


def seeds_from(count: int) -> range:
    """Return seeds 0..count-1; raise ``SpecError`` for fewer than one."""
    if count < 1:
        msg = f"--seeds {count}: at least one seed is needed"
        raise SpecError(msg)
    return range(count)
