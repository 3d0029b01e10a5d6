"""Tables and figures as they are printed: labels, what a cell shows, and what claims say of cells."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from repro.config.errors import SpecError
from repro.config.experiment import Evaluation, Training
from repro.config.networks import PAPER_CHANNELS, Classifier, Head, Model

Metric = Literal["miou", "pixel_acc", "boundary_acc", "internal_acc", "top5_err", "field_area", "train_loss"]
"""What a score cell shows. The last two are no counts of the evaluation: a share measured by ``repro vrf-area``, and
the end of the training's log; they stand in tables of the suite's own alone."""


@dataclass(frozen=True)
class Score:
    """A cell that needs a trained network."""

    training: Training
    evaluation: Evaluation = field(default_factory=Evaluation)
    metric: Metric = "miou"


@dataclass(frozen=True)
class Cost:
    """A cell that needs arithmetic only.

    A head is counted alone, after res-5 of the paper's network (2048 channels, 21 classes);
    a classifier whole, its convolutions only, at ``size x size``.
    """

    of: Head | Classifier
    what: Literal["params", "macs"] = "params"
    in_channels: int = PAPER_CHANNELS
    num_classes: int = 21
    size: int = 224


@dataclass(frozen=True)
class Cited:
    """A cell of somebody else's method: printed, never run here."""


@dataclass(frozen=True)
class Submitted:
    """A cell that only a test server can fill; ``repro score`` enters its answer."""

    training: Training
    evaluation: Evaluation
    server: Literal["voc", "cityscapes"]


@dataclass(frozen=True)
class Layout:
    """A cell of Table 11 that describes a stage; it is read off the built network."""

    of: Classifier
    stage: str
    """``stem``, ``pool``, ``res2``..``res5`` or ``classifier``."""
    what: Literal["block", "size"] = "block"
    """The layers of the stage, or the height and width of its output."""


Cell = Score | Cost | Cited | Submitted | Layout


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
    """One figure: its number (0 if not in the paper), the name of its module in ``repro.figures``, its trainings."""

    number: int
    name: str
    title: str
    trainings: tuple[Training, ...] = ()


def submitted(table: Table) -> Submitted | None:
    """Return the cell of a table that only a test server can fill, or None."""
    return next((cell for cell in table.cells() if isinstance(cell, Submitted)), None)
