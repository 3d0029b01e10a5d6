"""Numbers of the paper: a cell of a table by its labels, a number of the text by its name."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from repro.config.errors import PaperError
from repro.paper.schema import Claim, Contrast

_NUMBER = re.compile(r"(?P<digits>\d[\d,]*(?:\.(?P<decimals>\d+))?)(?P<suffix>[K%]?)")
_UNITS = {"": 1.0, "%": 1.0, "params": 1.0, "MFLOPs": 1e6}
_SUFFIXES = {"": 1.0, "%": 1.0, "K": 1e3}


@dataclass(frozen=True)
class Printed:
    """One printed cell or number.

    ``value`` is in the printed unit (per cent), or in units where that is a count (``260K`` is
    260000, ``3700`` MFLOPs is 3.7e9); ``None`` for words. ``step`` is the last printed place.
    """

    text: str
    value: float | None
    unit: str
    step: float
    decimals: int = 0

    def matches(self, ours: float) -> bool:
        """Return whether a count differs by one step at most: the paper rounds some counts and truncates others."""
        return self.value is not None and abs(ours - self.value) <= self.step

    def verdict(self, ours: float | str) -> str:
        """Return ``matches`` or ``differs`` for a count, or for a layout up to spaces and case; empty for no number."""
        if isinstance(ours, str):
            return "matches" if _plain(ours) == _plain(self.text) else "differs"
        if self.value is None:
            return ""
        return "matches" if self.matches(ours) else "differs"

    def in_unit(self, ours: float) -> float:
        """Return a count in the printed unit: parameters, or millions of multiply-adds."""
        return ours / _UNITS[self.unit]


def _plain(words: str) -> str:
    return "".join(words.lower().split())


@dataclass(frozen=True)
class TextNumber:
    """A number of the running text and the sections that contain it."""

    name: str
    printed: Printed
    gist: str
    places: tuple[str, ...]

    @property
    def value(self) -> float:
        """The number."""
        if self.printed.value is None:
            msg = f"printed.toml, text.{self.name}: {self.printed.text!r} is not a number"
            raise PaperError(msg)
        return self.printed.value


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("printed.toml").read_text(encoding="utf-8"))


def _parse(text: str, unit: str, step: float | None = None) -> Printed:
    found = _NUMBER.fullmatch(text)
    if found is None:
        return Printed(text, None, "", 0.0)
    unit = unit or ("%" if found["suffix"] == "%" else "")
    factor = _UNITS[unit] * _SUFFIXES[found["suffix"]]
    decimals = len(found["decimals"] or "")
    value = float(found["digits"].replace(",", "")) * factor
    return Printed(text, value, unit, step or factor * 10.0**-decimals, decimals)


@cache
def cells(table: int) -> dict[tuple[str, str], Printed]:
    """Return every printed cell of a table by (row, column); empty for a table that is not the paper's."""
    block = _data()["tables"].get(str(table), {"columns": [], "rows": []})
    units, steps = block.get("units", {}), block.get("steps", {})
    return {
        (label, column): _parse(text, units.get(label, block["unit"]), steps.get(label))
        for label, *texts in block["rows"]
        for column, text in zip(block["columns"], texts, strict=True)
        if text
    }


def columns(table: int) -> tuple[str, ...]:
    """Return the column labels of a table in the paper's order; empty for one that is not the paper's."""
    return tuple(_data()["tables"].get(str(table), {"columns": ()})["columns"])


def printed(table: int, row: str, column: str) -> Printed | None:
    """Return the printed cell at two labels; ``None`` where it is empty."""
    return cells(table).get((row, column))


@cache
def text() -> dict[str, TextNumber]:
    """Return the numbers of the running text by name."""
    return {
        name: TextNumber(name, _parse(entry["text"], ""), entry["gist"], tuple(entry["places"]))
        for name, entry in _data()["text"].items()
    }


def text_number(name: str) -> TextNumber:
    """Return a number of the running text; raise ``PaperError`` for an unknown name."""
    if name not in text():
        msg = f"printed.toml: no number of the text is called {name!r}; add it under [text] with its places"
        raise PaperError(msg)
    return text()[name]


def heading(table: int) -> dict[str, str]:
    """Return ``gist`` and ``place`` of a table; empty strings for one that is not the paper's."""
    block = _data()["tables"].get(str(table), {})
    return {name: str(block.get(name, "")) for name in ("gist", "place", "corner")}


def numbers() -> tuple[int, ...]:
    """Return the numbers of the paper's tables."""
    return tuple(sorted(int(number) for number in _data()["tables"]))


def section(name: str) -> dict[str, Any]:
    """Return a section of ``printed.toml``: ``figure2``, ``words`` or ``slides``."""
    return dict(_data()[name])


def number(table: int, row: str, column: str) -> float:
    """Return the printed number at two labels, in the printed unit; raise ``PaperError`` where there is none."""
    cell = printed(table, row, column)
    if cell is None or cell.value is None:
        msg = f"table {table}: the paper prints no number at row {row!r}, column {column!r}"
        raise PaperError(msg)
    return cell.value


def difference(contrast: Contrast, table: int) -> float:
    """Return the weighted sum of a contrast on the printed numbers, in the printed unit."""
    return round(sum(weight * number(ref.table or table, ref.row, ref.column) for weight, ref in contrast.terms), 6)


def verdict(claim: Claim, table: int) -> bool:
    """Return whether a claim of ``table`` holds on the printed numbers."""
    for contrast in claim.contrasts:
        found = difference(contrast, table)
        if contrast.above is not None and not found > contrast.above:
            return False
        if contrast.below is not None and not found < contrast.below:
            return False
    return True
