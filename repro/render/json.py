"""Tables as JSON: every number, word and record name of a ``TableView``."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from repro.records import Record
from repro.views import TableView

DECIMALS = 6
"""Places kept: what lies beyond differs between processors."""


def render(views: tuple[TableView, ...], **others: Any) -> str:  # noqa: ANN401 - any frozen values
    """Return tables as one JSON document, with what concerns no single one; nan is null, a record is its name."""
    tree = {"tables": plain(views), **plain(others)}
    return json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:  # noqa: ANN401 - a tree of views becomes a tree of plain values
    """Return frozen values as mappings, tuples as lists, nan as None."""
    if isinstance(value, Record):
        return value.name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, float):
        return round(value, DECIMALS) if math.isfinite(value) else None
    return value
