"""What the paper's sentences claim of cells: weighted sums of them, and the bounds these must keep."""

from __future__ import annotations

import itertools
from dataclasses import dataclass


@dataclass(frozen=True)
class Ref:
    """A cell by its labels; ``table`` is the number of another table, 0 for this one."""

    row: str
    column: str
    table: int = 0


@dataclass(frozen=True)
class Contrast:
    """``sum(weight * cell) > above`` (and ``< below``), in the printed unit (points, counts).

    Every predicate of a claim is one of these, so one interval decides it.
    """

    terms: tuple[tuple[float, Ref], ...]
    above: float | None = 0.0
    below: float | None = None


@dataclass(frozen=True)
class Claim:
    """A checkable sentence of the paper: its gist, its place, its words, and what must be true."""

    name: str
    says: str
    where: str
    contrasts: tuple[Contrast, ...]
    refuted_in_print: str = ""
    """Why the paper's own numbers deny the sentence; empty where they agree with it."""
    means: tuple[tuple[str, str], ...] = ()
    """Verdict -> what it would mean, in words; empty where the sentence says it all."""
    quote: str = ""
    """The paper's own words, a few of them; empty where the claim is read off a table."""


def exceeds(better: Ref, worse: Ref, by: float = 0.0) -> Contrast:
    """``better - worse > by``."""
    return Contrast(((1.0, better), (-1.0, worse)), above=by)


def rises(*cells: Ref) -> tuple[Contrast, ...]:
    """Each cell is larger than the one before it."""
    return tuple(exceeds(after, before) for before, after in itertools.pairwise(cells))


def falls(*cells: Ref) -> tuple[Contrast, ...]:
    """Each cell is smaller than the one before it."""
    return rises(*reversed(cells))


def gains_more(gain: tuple[Ref, Ref], other: tuple[Ref, Ref]) -> Contrast:
    """``gain[1] - gain[0] > other[1] - other[0]``: a difference of differences."""
    return Contrast(((1.0, gain[1]), (-1.0, gain[0]), (-1.0, other[1]), (1.0, other[0])))


def equivalent(one: Ref, other: Ref, within: float) -> Contrast:
    """``-within < one - other < within``."""
    return Contrast(((1.0, one), (-1.0, other)), above=-within, below=within)


def ratio(part: Ref, whole: Ref, low: float, high: float) -> tuple[Contrast, Contrast]:
    """``low < part / whole < high``, as two sums."""
    return Contrast(((high, whole), (-1.0, part))), Contrast(((1.0, part), (-low, whole)))
