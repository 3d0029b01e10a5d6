"""What a rendered table is made of: frozen values that hold every number, word and record that it shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from repro.measured import Measurement
from repro.paper import Printed
from repro.spec import table_label, table_name

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
class Effect:
    """One comparison of a claim, in points or counts, with its interval.

    ``low``..``high`` is the 95 % interval of this comparison alone, ``low_all``..``high_all`` the one widened for the
    number of comparisons in the claim (Bonferroni). Both are nan where there is none.
    """

    text: str
    estimate: float
    low: float = math.nan
    high: float = math.nan
    low_all: float = math.nan
    high_all: float = math.nan
    bounds: str = "> 0"
    exact: bool = False
    seeds: int = 0
    images: int = 0
    note: str = ""
    missing: tuple[str, ...] = ()
    state: str = "open"
    """``true``, ``false`` or ``open``: what this comparison alone shows."""
    slack: float = math.nan
    """How far the interval lies inside the bounds, in its own widths (exact sums: in units); negative outside."""


@dataclass(frozen=True)
class ClaimView:
    """A sentence of the paper and what the records of one place say about it."""

    table: int
    name: str
    says: str
    where: str
    place: str
    verdict: str
    effects: tuple[Effect, ...]
    note: str = ""
    refuted_in_print: str = ""
    own: str = ""
    """Name of the table where that is one of the suite's own."""
    quote: str = ""
    """The paper's own words; empty where the claim is read off a table."""

    @property
    def table_name(self) -> str:
        """The table's name, by which its files and headings are found."""
        return table_name(self.table, self.own)

    @property
    def table_label(self) -> str:
        """The table's name as a heading shows it."""
        return table_label(self.table, self.own)

    @property
    def deciding(self) -> Effect | None:
        """The comparison that decides: the first that fails, else the one nearest to its bound."""
        usable = [effect for effect in self.effects if not effect.missing]
        failing = [effect for effect in usable if effect.state == "false"]
        return min(failing or usable, key=_slack, default=None)


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
    """Of a device of ``compute.USUAL``, by operations or by launches; nan as above."""


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


def _slack(effect: Effect) -> float:
    return math.inf if math.isnan(effect.slack) else effect.slack


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
    def scored(self) -> bool:
        """Whether any cell needs a trained network; the others are counted or cited."""
        return any(cell.kind == "score" for cell in self.cells())

    def cells(self) -> tuple[CellView, ...]:
        """Return every cell, row by row."""
        return tuple(cell for row in self.rows for cell in row.cells)
