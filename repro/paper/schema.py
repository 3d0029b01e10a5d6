"""Schema of tables, figures and claims: labels, cells, and the comparisons that a claim makes between cells."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from repro.config.errors import SpecError
from repro.config.experiment import Evaluation, Training
from repro.config.networks import PAPER_CHANNELS, Classifier, Head, Model


@dataclass(frozen=True)
class Score:
    """A cell that needs a trained network."""

    training: Training
    evaluation: Evaluation = field(default_factory=Evaluation)
    metric: str = "miou"
    """A name among ``repro.results.metrics.METRICS``."""


CONVENTION = "parameters without biases; a multiply-add is one operation; convolutions only where the paper says so"
"""Convention of every count that is compared with the paper."""


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
    """A cell of another method, cited by the paper and never run here."""


@dataclass(frozen=True)
class Submitted:
    """A cell that only a test server can fill; ``repro score`` enters its answer."""

    training: Training
    evaluation: Evaluation
    server: Literal["voc", "cityscapes"]


@dataclass(frozen=True)
class Layout:
    """A cell of Table 11 that describes a stage, read from the built network."""

    of: Classifier
    stage: str
    """``stem``, ``pool``, ``res2``..``res5`` or ``classifier``."""
    what: Literal["block", "size"] = "block"
    """The layers of the stage, or the height and width of its output."""


Cell = Score | Cost | Cited | Submitted | Layout


@dataclass(frozen=True)
class Ref:
    """A reference to a cell by its labels; ``table`` is the number of another table, 0 for the same one."""

    row: str
    column: str
    table: int = 0


@dataclass(frozen=True)
class Contrast:
    """``sum(weight * cell) > above`` (and ``< below``), in the printed unit (points, counts).

    Every comparison of a claim has this form, so one interval decides it.
    """

    terms: tuple[tuple[float, Ref], ...]
    above: float | None = 0.0
    below: float | None = None


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper that can be checked: gist, section, quote, and the comparisons that must be true."""

    name: str
    says: str
    where: str
    contrasts: tuple[Contrast, ...]
    refuted_in_print: str = ""
    """Why the paper's numbers contradict the sentence; empty where they agree."""
    means: tuple[tuple[str, str], ...] = ()
    """Verdict -> its meaning in words; empty where the sentence is enough."""
    quote: str = ""
    """A few of the paper's words; empty where the claim is taken from a table."""


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
    """One row; ``None`` where the paper leaves the cell empty."""

    label: str
    cells: tuple[Cell | None, ...]


def score_row(label: str, heads: Iterable[Head], data: str = "voc_aug", metric: str = "miou") -> Row:
    """Return the scores of the plain network, without BR, under each head."""
    return Row(label, tuple(Score(Training(Model(head), data), metric=metric) for head in heads))


def params_row(label: str, heads: Iterable[Head]) -> Row:
    """Return the parameters of each head after res-5."""
    return Row(label, tuple(Cost(head) for head in heads))


@dataclass(frozen=True)
class Counting:
    """One way to count the number of a cell: a description, the cell, the count, and whether it is the default."""

    says: str
    at: Ref
    cost: Cost
    taken: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the paper, or an additional one: labels, cells, and the claims about them."""

    number: int
    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    own: str = ""
    """Name of an additional table (not in the paper): its cells have no printed value."""
    readings: tuple[Counting, ...] = ()
    """Every interpretation of a printed count that the paper leaves open."""

    @property
    def name(self) -> str:
        """Name on the command line and stem of the files: ``table2``, or the name of an additional table."""
        return table_name(self.number, self.own)

    @property
    def short(self) -> int | str:
        """The paper's number, or the name of an additional table."""
        return self.own or self.number

    def __post_init__(self) -> None:
        """Refuse a row with another number of cells than there are columns."""
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
    """Return the name of a table: ``table2``, or that of an additional one."""
    return own or f"table{number}"


def table_label(number: int, own: str = "") -> str:
    """Return a table's name for headings."""
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
