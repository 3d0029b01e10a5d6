"""Content keys: the canonical form of any noun, its hash, and short names for people."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import cache
from typing import Any

from repro.config.networks import GCN, PAPER_CHANNELS, Conv, Head, Stack

PLAIN = frozenset((str, int, float, bool, type(None)))
"""Kinds that stand in a key's text as they are."""


def normal(value: Any) -> Any:  # noqa: ANN401 - any of the nouns above, returned as its own kind
    """Return the one form of networks that are the same under two names.

    A stack of one ``3 x 3`` is the ``3 x 3`` convolution, whatever its ``m``.
    """
    if isinstance(value, Stack) and value.k == 3:  # noqa: PLR2004
        return Conv(3)
    return value


def canonical(value: Any) -> Any:  # noqa: ANN401 - a tree of plain values
    """Return the tree that a key is made from: type names, and fields that are not the default."""
    if type(value) in PLAIN:
        return value
    value = normal(value)
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
    """Return the fields of a noun, each with its default; None for what is no noun."""
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple((part.name, _default(part)) for part in dataclasses.fields(kind))


def _default(part: dataclasses.Field[Any]) -> Any:  # noqa: ANN401 - any field's own kind
    """Return what a field holds when nobody sets it; ``MISSING`` where it must be set."""
    return part.default if part.default_factory is dataclasses.MISSING else part.default_factory()


def key(value: Any) -> str:  # noqa: ANN401 - any frozen value
    """Return the content key of a value: 10 hexadecimal digits of its canonical form's SHA-256."""
    return key_of_tree(canonical(value))


def key_of_tree(tree: Any) -> str:  # noqa: ANN401 - what ``canonical`` returns
    """Return the content key of a value by its canonical form, as ``record.json`` holds it."""
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def head_name(head: Head) -> str:
    """Return the short name used in slugs and legends, such as ``gcn-k7``."""
    match normal(head):
        case GCN(int(k)):
            return f"gcn-k{k}"
        case GCN(tuple(sizes)):
            return "gcn-k" + "_".join(str(size) for size in sizes)
        case Conv(k):
            return f"conv-k{k}"
        case Stack(k, m):
            return f"stack-k{k}" + ("" if m == PAPER_CHANNELS else f"-m{m}")
        case _:
            return "base"
