"""Find the tables: every module of this package defines a ``TABLE``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path

from repro.config.errors import SpecError, near
from repro.paper.schema import Table


def natural(name: str) -> list[int | str]:
    """Return a sort key that orders names by their numbers: table2 before table10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _names() -> list[str]:
    """Return the modules of this package, numbers in their natural order (table2 before table10)."""
    return sorted(
        (path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")), key=natural
    )


def _held(name: str) -> Table:
    value = getattr(import_module(f"{__name__}.{name}"), "TABLE", None)
    if isinstance(value, Table):
        return value
    raise SpecError(f"repro/paper/tables/{name}.py: holds no TABLE; define TABLE = Table(...) in it")


@cache
def all_tables() -> dict[int, Table]:
    """Return every table by its number; raise ``SpecError`` for a file without a spec or a number used twice."""
    found: dict[int, Table] = {}
    for name in _names():
        table = _held(name)
        if table.number in found:
            msg = f"repro/paper/tables/{name}.py: number {table.number} belongs to another table; choose a free one"
            raise SpecError(msg)
        found[table.number] = table
    return dict(sorted(found.items()))


def paper_tables() -> dict[int, Table]:
    """Return the paper's tables by number, without additional ones."""
    return {number: table for number, table in all_tables().items() if not table.own}


def table_docs() -> dict[str, str]:
    """Return the first line of each table's docstring by module name, read without importing it."""
    return first_lines(Path(__file__).parent, _names())


def first_lines(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the first line of each docstring of some modules of a folder, by name."""
    return {name: _first_line(folder / f"{name}.py") for name in names}


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def select_tables(words: list[str]) -> list[Table]:
    """Return the tables named by ``table2``, ``2``, ``1,3-5``, an own name or ``all``, each once, in order.

    Raises:
        SpecError: a word names no table.
    """
    known = all_tables()
    own = {table.own: number for number, table in known.items() if table.own}
    numbers: list[int] = []
    for word in ",".join(words).replace(" ", "").lower().split(","):
        numbers += known if word == "all" else [own[word]] if word in own else _numbers(word, list(own))
    return [known[number] for number in sorted(set(numbers))]


def _numbers(word: str, own: list[str]) -> list[int]:
    known = list(paper_tables())
    match = re.fullmatch(r"(?:tables?)?(\d+)(?:-(\d+))?", word)
    wanted = list(range(int(match[1]), int(match[2] or match[1]) + 1)) if match else []
    if not wanted or not set(wanted) <= set(known):
        others = "".join(f", {name}" for name in own)
        msg = (
            f"{word!r} is no table of the paper; choose table{known[0]} to table{known[-1]}{others}, "
            f"or all (see repro list){near(word, [*table_docs(), 'all'])}"
        )
        raise SpecError(msg)
    return wanted


def seeds_from(count: int) -> range:
    """Return seeds 0..count-1; raise ``SpecError`` for fewer than one."""
    if count < 1:
        msg = f"--seeds {count}: at least one seed is needed"
        raise SpecError(msg)
    return range(count)
