"""What a rendered table is made of: frozen values that hold every number, word and record that it shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
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
    """What one place (``reference``, ``local``, or ``computed`` for counts) has for a cell.

    ``value`` and ``difference`` (ours minus printed) are in the printed unit: points for scores, units for counts.
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
    """95 % interval of the value; only where there is no print to compare with."""
    gain_span: Span | None = None
    """95 % interval of the gain, over the seeds that both share; as above."""


@dataclass(frozen=True)
class CellView:
    """One printed cell and what stands beside it."""

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
    """One printed row."""

    label: str
    cells: tuple[CellView, ...]


@dataclass(frozen=True)
class Lack:
    """What one table, or all of them together, still need: runs without a record, and their expected length."""

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
    """What a profile still lacks: by table, and in all, where a run that several tables share counts once."""

    profile: str
    seeds: int
    tables: tuple[Lack, ...]
    whole: Lack
    source: str = ""
    """Whose times the expected ones are."""


@dataclass(frozen=True)
class Picture:
    """A drawn figure: its name and title, its number in the paper (0 for the suite's own), where its PDF lies."""

    name: str
    title: str
    number: int
    pdf: str
    png: bytes = b""

    @property
    def label(self) -> str:
        """The figure's name as a caption shows it."""
        return f"Figure {self.number} of the paper" if self.number else "the suite's own, not in the paper"


@dataclass(frozen=True)
class Provenance:
    """Where the numbers of one place come from; every field is sorted and free of repeats."""

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
    """One table as printed, with everything that was measured for it in one profile."""

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
    """What has to be known to read the cells, a sentence each."""
    problems: tuple[str, ...] = ()
    own: str = ""
    """Name of a table of the suite's own, which the paper does not print."""
    cut: int | None = None
    """Steps that every training was cut to (``--steps``), which the title says too; None: none was cut."""

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
