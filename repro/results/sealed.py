"""JSON files of results: bounded in size and depth, parsed strictly, with a checksum of their own content."""

from __future__ import annotations

import hashlib
import json
import math
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MOST = 1 << 20
"""Default limit of the bytes of one file."""
DEEPEST = 40
"""Largest number of nested mappings and lists."""
CHECKSUM = "checksum"
"""Field that holds the checksum of all others."""
_DIGITS = 18
"""Of a whole number; longer ones may not fit in 64 bits."""
_LONG = re.compile(rb"\d{19}|\d[eE]\+?\d{3}")
"""A text without a match holds no number that is too large."""


def contents(path: Path, most: int = MOST) -> bytes:
    """Return a file's bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no regular file, or larger than ``most`` bytes.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("not a regular file")
    if found.st_size <= most:
        with path.open("rb") as file:
            data = file.read(found.st_size + 1)
        if len(data) <= found.st_size:
            return data
        raise ValueError("it grew while it was read")
    raise ValueError(f"{found.st_size:,} bytes, more than the {most:,} that it may have")


def cause(error: Exception) -> str:
    """Return an error's text; of an error of the system without its number and path."""
    return (error.strerror if isinstance(error, OSError) else "") or str(error)


def read(path: Path, most: int = MOST) -> Any:  # noqa: ANN401 - a tree of plain values
    """Return the tree of a JSON file; raise as ``contents`` and ``parse``."""
    return parse(contents(path, most))


def parse(data: bytes) -> Any:  # noqa: ANN401 - a tree of plain values
    """Return the tree of a JSON text.

    Raises:
        ValueError: it is no JSON of UTF-8 text; a field stands twice; a number is not finite or beyond 64 bits; it is
            nested more than ``DEEPEST`` levels deep.
    """
    hooks: dict[str, Any] = {"parse_float": _float, "parse_int": _int} if _LONG.search(data) else {}
    try:
        tree = json.loads(data.decode(), object_pairs_hook=_mapping, parse_constant=_constant, **hooks)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} levels deep") from None
    if data.count(b"{") + data.count(b"[") > DEEPEST or b"\\u" in data:
        for level, value in _walk(tree):
            if level > DEEPEST:
                raise ValueError(f"nested more than {DEEPEST} levels deep")
            if isinstance(value, str):
                value.encode()  # half of a surrogate pair cannot be printed
    return tree


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice!r} stands twice")
    return tree


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _int(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"a whole number of {len(text)} digits is too large")
    return int(text)


def _walk(tree: object) -> Iterator[tuple[int, object]]:
    """Yield every value and name of a tree with its level, without recursion."""
    waiting: list[tuple[int, object]] = [(0, tree)]
    while waiting:
        level, value = waiting.pop()
        yield level, value
        if isinstance(value, dict):
            waiting += [(level + 1, part) for pair in value.items() for part in pair]
        elif isinstance(value, list):
            waiting += [(level + 1, part) for part in value]


def seal(tree: Mapping[str, Any]) -> str:
    """Return the text of a JSON file that holds a tree and its checksum; raise ``ValueError`` for what JSON lacks."""
    whole = {**tree, CHECKSUM: checksum(tree)}
    return json.dumps(whole, indent=1, sort_keys=True, allow_nan=False) + "\n"


def broken(tree: Mapping[str, Any]) -> str:
    """Return why a tree is not as ``seal`` wrote it; empty where it is."""
    said = tree.get(CHECKSUM)
    if said is None:
        return f"lacks its {CHECKSUM}"
    return "" if said == checksum(tree) else "was changed after it was written (its checksum differs)"


def unreadable(tree: Mapping[str, Any], schemas: tuple[int, ...]) -> str:
    """Return why a tree is of an unknown schema or was changed; empty where it is sound. Schema 1 has no checksum."""
    schema = tree["schema"]
    if type(schema) is not int or schema not in schemas:
        return f"schema {schema!r} is unknown to this version"
    why = broken(tree) if schema > 1 else ""
    return why and f"it {why}"


def checksum(tree: Mapping[str, Any]) -> str:
    """Return the sha256 of a tree's content, without ``CHECKSUM``, spaces and the order of fields."""
    rest = {name: value for name, value in tree.items() if name != CHECKSUM}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
