"""Counts and layouts of the built modules, stored by ``repro cost --store``: a report needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from repro.paper.schema import CONVENTION


@dataclass(frozen=True)
class Counts:
    """Stored counts: key of the cell -> integer or layout."""

    values: Mapping[str, int | str]
    torch: str = ""
    convention: str = CONVENTION
    fault: str = ""


STORED = Path(__file__).with_name("counts.json")
"""Every count and layout; a test rebuilds the modules and compares."""


def load_counts(path: Path = STORED) -> Counts:
    """Read stored counts; there are none where the file is missing or damaged, and ``fault`` reports the damage."""
    if not path.exists():
        return Counts({})
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        values = {str(name): value for name, value in tree["counts"].items() if isinstance(value, int | str)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Counts({}, fault=f"{path.name}: unreadable ({error}); write it again with: repro cost all --store")
    return Counts(values, str(tree.get("torch", "")), str(tree.get("convention", CONVENTION)))
