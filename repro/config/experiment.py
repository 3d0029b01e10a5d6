"""Specification of trainings and evaluations, and the fully resolved run: network, data, recipe, steps, protocol."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from repro.config.errors import WorkError
from repro.config.hashing import key
from repro.config.identity import weights_of
from repro.config.networks import Classifier, Model, head_name


@dataclass(frozen=True)
class Training:
    """A training: network, data, initial weights.

    ``data`` is a role ("voc_aug"), which the profile maps to a data set. ``init`` is the training
    whose weights this one starts from; None: the profile's initial weights.
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
    """Protocol of an evaluation. ``data`` is a role; empty: the test split of the training's role."""

    data: str = ""
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    crops: int = 0
    """Square crops, evenly spaced and overlapping, whose softmax is averaged; 0: whole image."""
    crf: CRF | None = None
    rim: Literal["edge", "filled"] = "edge"
    """Boundary region (Table 5): the void rim counts as an edge, or is filled with the nearest label first."""
    distance: Literal["euclidean", "chessboard"] = "euclidean"


MULTI_SCALE = (0.5, 0.75, 1.0, 1.25, 1.5)


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of a training. Learning rates refer to the loss as reduced by ``loss``."""

    name: str
    optimizer: Literal["sgd", "adamw"]
    lr: float
    batch_size: int
    weight_decay: float
    momentum: float = 0.9
    schedule: Literal["fixed", "poly"] = "poly"
    warmup: float = 0.0
    """Share of the steps over which the learning rate rises."""
    loss: Literal["mean", "sum"] = "mean"
    bias_lr: float = 1.0
    """Factor on the learning rate of biases."""
    bias_decay: bool = True
    """Whether weight decay applies to vectors (biases, batch norm) too."""
    backbone_lr: float = 1.0
    """Factor on the learning rate of the backbone."""
    clip: float = 0.0
    """Largest gradient norm; 0: no clipping."""
    head_std: float = 0.01
    """Standard deviation of the heads' normal initialisation; 0: by fan-in."""
    frozen_bn: bool = False
    flip: bool = True
    flip_vertical: bool = False
    scale: tuple[float, float] = (1.0, 1.0)
    """Range of random scaling."""


@dataclass(frozen=True)
class Source:
    """A split of a data set, and the size that its images are padded or cropped to."""

    dataset: str
    split: str
    height: int = 0
    width: int = 0
    """0: native size (evaluation), rounded up to the network's stride by padding."""
    crop: bool = False
    """Crop a random window of this size instead of padding to it."""


@dataclass(frozen=True)
class Start:
    """Initial weights of a first stage: a file of ImageNet weights ("imagenet"), or none ("random")."""

    weights: str


@dataclass(frozen=True)
class Run:
    """One training and one evaluation of its weights; the key is a hash of all fields.

    The run with the default evaluation trains; the runs of the same training under other
    protocols evaluate its weights and name it by ``trained()``.
    """

    profile: str
    model: Model | Classifier
    train: tuple[Source, ...]
    recipe: Recipe
    steps: int
    test: Source
    start: Run | Start
    evaluation: Evaluation = field(default_factory=Evaluation)

    @cached_property
    def key(self) -> str:
        """Content key, ten hexadecimal digits; equal for equal experiments only."""
        return key(self)

    def trained(self) -> Run:
        """Return the run that trains the evaluated weights: itself, under the default evaluation."""
        return self if self.evaluation == Evaluation() else self._training

    @cached_property
    def _training(self) -> Run:
        """Cached, so that its key is computed once."""
        return replace(self, evaluation=Evaluation())

    @property
    def from_file(self) -> bool:
        """Whether the training starts from a file of ImageNet weights."""
        return isinstance(self.start, Start) and self.start.weights != "random"

    @cached_property
    def slug(self) -> str:
        """Readable first part of the record's folder name, such as ``shapes-gcn-k7-br``."""
        if isinstance(self.model, Classifier):
            name = f"cls-{self.model.backbone.replace('_', '-')}"
        else:
            name = head_name(self.model.head) + ("-br" if self.model.refine else "")
        suffix = "" if self.evaluation == Evaluation() else "-" + _protocol(self.evaluation)
        return f"{self.profile}-{name}{suffix}"


def source_names(run: Run) -> frozenset[str]:
    """Return the names of all data and initial weights of a run, those of earlier stages included."""
    own = {f"{source.dataset}/{source.split}" for source in (*run.train, run.test)}
    if run.from_file:
        own.add(weights_of(run.model.backbone))
    before = run.start if isinstance(run.start, Run) else None
    return frozenset(own) | (source_names(before) if before else frozenset())


def check_weights(run: Run, weights: Path | None) -> None:
    """Raise ``WorkError`` where a run trains from a file of ImageNet weights that was not given."""
    if run.trained() == run and run.from_file and weights is None:
        raise WorkError(
            f"profile {run.profile} starts from ImageNet weights of {run.model.backbone}; "
            "give --weights FILE (or REPRO_WEIGHTS), a safetensors file with torchvision's names"
        )


def _protocol(evaluation: Evaluation) -> str:
    """Return the slug of a non-default evaluation."""
    parts = []
    if len(evaluation.scales) > 1:
        parts.append("ms")
    if evaluation.crops:
        parts.append(f"crops{evaluation.crops}")
    if evaluation.crf is not None:
        parts.append("crf")
    return "-".join(parts) or "eval"


def folder_name(run: Run, seed: int) -> str:
    """Return ``<slug>-<key>-s<seed>``."""
    return f"{run.slug}-{run.key}-s{seed}"


@dataclass(frozen=True)
class Job:
    """One run with one seed, and the jobs that produce its initial weights."""

    run: Run
    seed: int
    after: tuple[str, ...] = ()
    """Names of the jobs that must run first."""
    folder: str = ""
    """Folder name other than the default, where a record of other data has that one."""

    @cached_property
    def name(self) -> str:
        """Folder name of its record."""
        return self.folder or folder_name(self.run, self.seed)

    @property
    def trains(self) -> bool:
        """Whether the job trains, or only evaluates another job's weights."""
        return self.run.trained() == self.run
