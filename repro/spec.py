"""The nouns of the suite: frozen values that name a head, a model, a training, a cell, a table."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Literal

PAPER_CHANNELS = 2048
"""Channels of res-5 in the paper's backbones; Table 4 prints ``m`` against this width."""

Metric = Literal["miou", "pixel_acc", "boundary_acc", "internal_acc", "top5_err", "field_area", "train_loss"]
"""What a score cell shows. The last two are no counts of the evaluation: a share measured by ``repro vrf-area``, and
the end of the training's log; they stand in tables of the suite's own alone."""


class SpecError(ValueError):
    """A value that no experiment can have, in one sentence for the user."""


def _odd(k: int, name: str) -> None:
    if k < 1 or k % 2 == 0:
        msg = f"{name}: kernel size must be odd and positive, got {k}"
        raise SpecError(msg)


@dataclass(frozen=True)
class GCN:
    """Global convolution (Figure 4 A): ``k x 1, 1 x k`` plus ``1 x k, k x 1``.

    ``k`` is one size for every stage, or four sizes for res-2..res-5.
    """

    k: int | tuple[int, int, int, int]

    def __post_init__(self) -> None:
        """Refuse an even kernel (section 4.1.1: it would shift the map by half a cell)."""
        for k in (self.k,) if isinstance(self.k, int) else self.k:
            _odd(k, "GCN")


@dataclass(frozen=True)
class Conv1x1:
    """The baseline (Figure 4 B): one ``1 x 1`` convolution."""


@dataclass(frozen=True)
class Conv:
    """The trivial large kernel (Figure 4 C): one ``k x k`` convolution."""

    k: int

    def __post_init__(self) -> None:
        """Refuse an even kernel."""
        _odd(self.k, "Conv")


@dataclass(frozen=True)
class Stack:
    """``(k - 1) / 2`` convolutions ``3 x 3`` (Figure 4 D) through ``m`` channels.

    ``m`` is printed for res-5 (2048 channels). At a stage of ``c`` channels the stack has
    ``round(c * m / 2048)`` of them, so one value of ``m`` fits every stage and every backbone.
    """

    k: int
    m: int = PAPER_CHANNELS

    def __post_init__(self) -> None:
        """Refuse kernels that no stack of ``3 x 3`` can reach, and an empty width."""
        _odd(self.k, "Stack")
        if self.k == 1 or self.m < 1:
            msg = f"Stack: needs k >= 3 and m >= 1, got k={self.k}, m={self.m}"
            raise SpecError(msg)


Head = GCN | Conv1x1 | Conv | Stack


@dataclass(frozen=True)
class Model:
    """One network of Figure 2 A: a backbone, a head on each of its stages, BR or not."""

    head: Head
    refine: bool = False
    backbone: str = "resnet152"
    stride_in: Literal["conv1", "conv2"] = "conv1"
    """Which convolution of a bottleneck carries the stride: the original's or torchvision's."""
    branches: Literal["concat", "sum"] = "concat"
    """How the two branches of a ResNet-GCN block join (Figure 5 B)."""
    deconv: Literal["learned", "fixed"] = "learned"


@dataclass(frozen=True)
class Classifier:
    """An ImageNet classifier (Table 6, Table 11): backbone, global average pool, linear layer."""

    backbone: str = "resnet50"
    stride_in: Literal["conv1", "conv2"] = "conv1"
    branches: Literal["concat", "sum"] = "concat"


@dataclass(frozen=True)
class Training:
    """What is trained, on what, from where.

    ``data`` is a role ("voc_aug"); the profile says which data set plays it. ``init`` is the
    training whose weights this one starts from; without one, the profile's own start.
    """

    model: Model | Classifier
    data: str = "voc_aug"
    init: Training | None = None


@dataclass(frozen=True)
class CRF:
    """Dense CRF parameters [Krahenbuhl 2011]: kernel weights ``w`` and deviations ``sd``."""

    iterations: int = 10
    position_w: float = 3.0
    position_sd: float = 3.0
    bilateral_w: float = 10.0
    bilateral_sd: float = 80.0
    bilateral_color_sd: float = 13.0


@dataclass(frozen=True)
class Evaluation:
    """How weights become counts. ``data`` is a role; empty: the one that goes with the training."""

    data: str = ""
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    crops: int = 0
    """Square crops, evenly spaced and overlapping, whose softmax is averaged; 0: whole image."""
    crf: CRF | None = None
    rim: Literal["edge", "filled"] = "edge"
    """Boundary region: the void rim is itself an edge, or is filled with the nearest label."""
    distance: Literal["euclidean", "chessboard"] = "euclidean"


MULTI_SCALE = (0.5, 0.75, 1.0, 1.25, 1.5)


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
class Row:
    """One printed row; ``None`` where the paper leaves the cell empty."""

    label: str
    cells: tuple[Cell | None, ...]


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
