"""Comparisons of cells in words, as claims say what decides them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from repro.spec import Contrast, Ref, Table


def labelled(ref: Ref, table: int, tables: Mapping[int, Table]) -> str:
    """Return a cell in words: its row and column, and its table where that is not ``table``."""
    return _label(_said(ref, table, tables), table)


def comparison(contrast: Contrast, table: int, tables: Mapping[int, Table]) -> str:
    """Return a comparison of ``table`` in words, without the labels that all of its cells share."""
    weights = [weight for weight, _ in contrast.terms]
    refs = [_said(ref, table, tables) for _, ref in contrast.terms]
    if gains := _gains(weights, refs, table):
        return gains
    if any(ref.table not in (0, table) for ref in refs):
        names = [_label(ref, table) for ref in refs]
    elif len({ref.row for ref in refs}) == 1:
        names = [ref.column for ref in refs]
    elif len({ref.column for ref in refs}) == 1:
        names = [ref.row for ref in refs]
    else:
        names = [_label(ref, table) for ref in refs]
    shared = {ref.column for ref in refs} if len({ref.row for ref in refs}) > 1 else {ref.row for ref in refs}
    parts = [_signed(weight, name) for weight, name in zip(weights, names, strict=True)]
    text = " ".join(parts).removeprefix("+ ")
    return f"{text} ({shared.pop()})" if len(shared) == 1 and names != [_label(ref, table) for ref in refs] else text


def _gains(weights: Sequence[float], refs: Sequence[Ref], table: int) -> str:
    """Return a difference of two gains as such, each with the label that its two cells share; else nothing."""
    if list(weights) != [1.0, -1.0, -1.0, 1.0]:
        return ""
    pairs = [(refs[0], refs[1]), (refs[2], refs[3])]
    parts = []
    for after, before in pairs:
        if any(ref.table not in (0, table) for ref in (after, before)):
            return ""
        if after.row == before.row:
            parts.append(f"({after.column} − {before.column}) of {after.row}")  # noqa: RUF001 - a minus sign
        elif after.column == before.column:
            parts.append(f"({after.row} − {before.row}) of {after.column}")  # noqa: RUF001 - a minus sign
    return " − ".join(parts) if len(parts) == len(pairs) else ""  # noqa: RUF001 - a minus sign


def _signed(weight: float, name: str) -> str:
    size = "" if abs(weight) == 1 else f"{abs(weight):.3g} x "
    return f"{'+' if weight > 0 else '−'} {size}{name}"  # noqa: RUF001 - a minus sign


def bounds(contrast: Contrast) -> str:
    """Return what a comparison's value must be, such as ``> 5.45``."""
    above = "" if contrast.above is None else f"> {contrast.above:g}"
    below = "" if contrast.below is None else f"< {contrast.below:g}"
    return " and ".join(part for part in (above, below) if part).replace("-", "−")  # noqa: RUF001 - a minus sign


def _said(ref: Ref, table: int, tables: Mapping[int, Table]) -> Ref:
    """Return a cell as a sentence names it: a column that is a bare number says of what, such as ``k=15``."""
    held = tables.get(ref.table or table)
    letter = held.corner.partition(" ")[0] if held else ""
    return replace(ref, column=f"{letter}={ref.column}") if len(letter) == 1 and ref.column.isdigit() else ref


def _label(ref: Ref, table: int) -> str:
    name = f"{ref.row}, {ref.column}"
    return f"Table {ref.table}: {name}" if ref.table not in (0, table) else name
