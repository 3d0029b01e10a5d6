"""Find the tables and figures: every file beside this one holds a ``TABLE`` or a ``FIGURE``."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path

from repro.spec import Figure, SpecError, Table


def _names() -> list[str]:
    """Return the modules of this package, numbers in their natural order (table2 before table10)."""
    names = [path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")]
    return sorted(names, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])


def _held(name: str) -> Table | Figure:
    module = import_module(f"{__name__}.{name}")
    for attribute, kind in (("TABLE", Table), ("FIGURE", Figure)):
        value = getattr(module, attribute, None)
        if isinstance(value, kind):
            return value
    msg = (
        f"repro/specs/{name}.py: holds no TABLE and no FIGURE; define TABLE = Table(...) or FIGURE = Figure(...) in it"
    )
    raise SpecError(msg)


@cache
def tables() -> dict[int, Table]:
    """Return every table by its number; raise ``SpecError`` for a file without a spec or a number used twice."""
    found: dict[int, Table] = {}
    for name in _names():
        table = _held(name)
        if not isinstance(table, Table):
            continue
        if table.number in found:
            msg = f"repro/specs/{name}.py: number {table.number} belongs to another table; choose a free one"
            raise SpecError(msg)
        found[table.number] = table
    return dict(sorted(found.items()))


def printed() -> dict[int, Table]:
    """Return the paper's tables by their numbers, without the suite's own."""
    return {number: table for number, table in tables().items() if not table.own}


@cache
def figures() -> dict[str, Figure]:
    """Return every figure by its name, those of the paper first."""
    held = [figure for name in _names() if isinstance(figure := _held(name), Figure)]
    return {figure.name: figure for figure in sorted(held, key=lambda figure: (figure.number == 0, figure.number))}


def docs() -> dict[str, str]:
    """Return the first line of each file's docstring by module name, read without importing it."""
    folder = Path(__file__).parent
    return {name: _first_line(folder / f"{name}.py") for name in _names()}


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]
