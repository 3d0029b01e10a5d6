"""Frozen values that a rendered table is made of: its numbers, words and records."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from repro.config.profiles import PROFILES
from repro.paper.printed import Printed
from repro.paper.schema import table_label, table_name
from repro.results.claims import ClaimView
from repro.results.scores import Measurement

Span = tuple[float, float]
Kind = Literal["score", "cost", "layout", "cited", "submitted", "empty"]


@dataclass(frozen=True)
class Outcome:
    """Result of a cell in one place: ``reference``, ``local``, or ``computed`` for counts.

    ``value`` and ``difference`` (ours minus reported) are in the reported unit: points for scores, units for counts.
    """

    place: str
    status: str
    value: float = math.nan
    words: str = ""
    """A layout, which is no number."""
    difference: float = math.nan
    gain: float = math.nan
    """Distance from the first cell of its kind in the row (or column), in points."""
    verdict: str = ""
    measurement: Measurement | None = None
    span: Span | None = None
    """95 % interval of the value; only in additional tables, which have no reported number."""
    gain_span: Span | None = None
    """95 % interval of the gain, over the seeds that both share; as above."""


@dataclass(frozen=True)
class CellView:
    """A cell of a table: the reported number and our results."""

    row: str
    column: str
    kind: Kind
    printed: Printed | None
    outcomes: tuple[Outcome, ...] = ()
    key: str = ""
    metric: str = ""
    gain_printed: float = math.nan

    def outcome(self, place: str) -> Outcome | None:
        """Return the outcome of a place; counts stand for every place."""
        return next((o for o in self.outcomes if o.place in (place, "computed")), None)


@dataclass(frozen=True)
class RowView:
    """A row of a table."""

    label: str
    cells: tuple[CellView, ...]


@dataclass(frozen=True)
class Lack:
    """Missing runs of one table, or of all together, and their expected length."""

    name: str
    label: str
    empty: int
    """Score cells without any number."""
    cells: int
    """Score cells that the profile has data for."""
    runs: int
    """Runs without a record, first stages too, over the seeds aimed at."""
    seconds: float
    """Expected seconds of one process, over the runs whose like was run before."""
    unknown: int
    """The other runs."""
    flops: float
    """Floating-point operations of all of them; nan where a network was never counted."""
    device_seconds: float
    """Of a device of ``budget.USUAL``, by operations or by launches; nan as above."""


@dataclass(frozen=True)
class Remaining:
    """Missing runs of a profile: by table, and in all, where a run that several tables share counts once."""

    profile: str
    seeds: int
    tables: tuple[Lack, ...]
    whole: Lack
    source: str = ""
    """Source of the times that the estimate is made from."""


@dataclass(frozen=True)
class Picture:
    """A drawn figure: its name and title, its number in the paper (0 for an additional one), where its PDF lies."""

    name: str
    title: str
    number: int
    pdf: str
    png: bytes = b""

    @property
    def png_path(self) -> str:
        """Where its PNG lies: beside the PDF."""
        return PurePosixPath(self.pdf).with_suffix(".png").as_posix()

    @property
    def label(self) -> str:
        """The figure's name as a caption shows it."""
        return f"Figure {self.number} of the paper" if self.number else "the suite's own, not in the paper"


@dataclass(frozen=True)
class Provenance:
    """Provenance of the numbers of one place; every field is sorted and free of repeats."""

    place: str
    recipes: tuple[str, ...]
    steps: tuple[str, ...]
    seeds: tuple[str, ...]
    data: tuple[str, ...]
    devices: tuple[str, ...]
    precision: tuple[str, ...]
    commits: tuple[str, ...]
    torch: tuple[str, ...]
    runs: tuple[str, ...]


@dataclass(frozen=True)
class TableView:
    """A table of the paper, or an additional one, with all results of one profile."""

    number: int
    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[RowView, ...]
    claims: tuple[ClaimView, ...]
    profile: str
    about: str
    places: tuple[str, ...]
    where: str = ""
    provenance: tuple[Provenance, ...] = ()
    counted: str = ""
    """How counts were made; empty where the table has none."""
    notes: tuple[str, ...] = ()
    """Notes below the table, a sentence each."""
    problems: tuple[str, ...] = ()
    own: str = ""
    """Name of an additional table (not in the paper)."""
    cut: int | None = None
    """Steps that every training was cut to (``--steps``); None: none was cut."""

    @property
    def name(self) -> str:
        """Stem of the table's files: ``table2``, or the own name."""
        return table_name(self.number, self.own)

    @property
    def label(self) -> str:
        """The name that a heading shows: ``Table 2``, or the own name."""
        return table_label(self.number, self.own)

    @property
    def comparable(self) -> bool:
        """Whether scores are compared with the paper's in absolute terms."""
        return self.profile in PROFILES and PROFILES[self.profile].comparable_with_paper

    @property
    def scored(self) -> bool:
        """Whether any cell needs a trained network; the others are counted or cited."""
        return any(cell.kind == "score" for cell in self.cells())

    def cells(self) -> tuple[CellView, ...]:
        """Return every cell, row by row."""
        return tuple(cell for row in self.rows for cell in row.cells)
