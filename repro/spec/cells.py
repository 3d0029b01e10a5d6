"""What a cell of a table shows: a score, a cost, a layout, or the number of somebody else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from repro.spec.experiments import Evaluation, Training
from repro.spec.networks import PAPER_CHANNELS, Classifier, Head

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
