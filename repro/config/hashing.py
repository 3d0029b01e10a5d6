"""Content keys: the canonical form of an experiment's dataclasses, and its hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import cache
from typing import Any

from repro.config.networks import Head

PLAIN = frozenset((str, int, float, bool, type(None)))
"""Types that a canonical tree holds unchanged."""


def canonical(value: Any) -> Any:  # noqa: ANN401 - a tree of plain values
    """Return the tree that is hashed: type names, and the fields that differ from their default."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, Head):
        value = value.normal()
    kind: type = type(value)
    if (fields := _fields(kind)) is not None:
        tree: dict[str, Any] = {"type": kind.__name__}
        for name, default in fields:
            item = getattr(value, name)
            if item != default:
                tree[name] = canonical(item)
        return tree
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, dict):
        return {str(name): canonical(item) for name, item in value.items()}
    return value


@cache
def _fields(kind: type) -> tuple[tuple[str, Any], ...] | None:
    """Return the fields of a dataclass, each with its default; None for any other type."""
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple((part.name, _default(part)) for part in dataclasses.fields(kind))


def _default(part: dataclasses.Field[Any]) -> Any:  # noqa: ANN401 - any field's own type
    """Return the default of a field; ``MISSING`` where it has none."""
    return part.default if part.default_factory is dataclasses.MISSING else part.default_factory()


def key(value: Any) -> str:  # noqa: ANN401 - any frozen value
    """Return the content key of a value: the first 10 hexadecimal digits of its canonical form's SHA-256."""
    return key_of_tree(canonical(value))


def key_of_tree(tree: Any) -> str:  # noqa: ANN401 - a tree of plain values
    """Return the content key of a canonical tree, as ``record.json`` holds it."""
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]
