"""Tables and figures: labels, cells and claims as they are printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from repro.spec.cells import Cell, Cost, Metric, Score
from repro.spec.claims import Claim, Ref
from repro.spec.errors import SpecError
from repro.spec.experiments import Training
from repro.spec.networks import Head, Model


@dataclass(frozen=True)
class Row:
    """One printed row; ``None`` where the paper leaves the cell empty."""

    label: str
    cells: tuple[Cell | None, ...]


def score_row(label: str, heads: Iterable[Head], data: str = "voc_aug", metric: Metric = "miou") -> Row:
    """Return the scores of the plain network, without BR, under each head."""
    return Row(label, tuple(Score(Training(Model(head), data), metric=metric) for head in heads))


def params_row(label: str, heads: Iterable[Head]) -> Row:
    """Return the parameters of each head after res-5."""
    return Row(label, tuple(Cost(head) for head in heads))


@dataclass(frozen=True)
class Counting:
    """One way to count what a cell prints: its words, the cell, the count, and whether it is the cell's own."""

    says: str
    at: Ref
    cost: Cost
    taken: bool = False


@dataclass(frozen=True)
class Table:
    """One table as printed: its labels, its cells, the claims that lean on it; or one of the suite's own."""

    number: int
    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    own: str = ""
    """Name of a table that the paper does not print: no cell of it has a printed value."""
    readings: tuple[Counting, ...] = ()
    """Every way to count a printed number that the paper leaves open."""

    @property
    def name(self) -> str:
        """What a user types, and the stem of its files: ``table2``, or the own name."""
        return table_name(self.number, self.own)

    @property
    def short(self) -> int | str:
        """The paper's number, or the own name."""
        return self.own or self.number

    def __post_init__(self) -> None:
        """Refuse a row whose cells do not stand under the columns."""
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                msg = f"table {self.number}, row {row.label}: {len(row.cells)} cells, {len(self.columns)} columns"
                raise SpecError(msg)

    def cell(self, row: str, column: str) -> Cell | None:
        """Return the cell at two labels; raise ``KeyError`` where there is none."""
        for candidate in self.rows:
            if candidate.label == row:
                return candidate.cells[self.columns.index(column)]
        raise KeyError(row)

    def cells(self) -> tuple[Cell | None, ...]:
        """Return every cell, row by row."""
        return tuple(cell for row in self.rows for cell in row.cells)

    def scores(self) -> tuple[Score, ...]:
        """Return the cells that need a trained network, row by row."""
        return tuple(cell for cell in self.cells() if isinstance(cell, Score))


def table_name(number: int, own: str = "") -> str:
    """Return the name of a table: its number in the paper, or its own."""
    return own or f"table{number}"


def table_label(number: int, own: str = "") -> str:
    """Return a table's name as a heading shows it."""
    return own.capitalize() if own else f"Table {number}"


@dataclass(frozen=True)
class Figure:
    """One figure: its number (0 for those the paper lacks), name, and the trainings it shows."""

    number: int
    name: str
    title: str
    draw: str
    """Name of the function in ``repro.render.figures`` that draws it."""
    trainings: tuple[Training, ...] = ()
