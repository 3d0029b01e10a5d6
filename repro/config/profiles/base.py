"""One scale at which every table can be run: the data and networks that stand for the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from repro.config.errors import SpecError, near
from repro.config.experiment import CRF, Evaluation, Recipe, Run, Source, Start, Training
from repro.config.networks import GCN, PAPER_CHANNELS, Classifier, Model
from repro.formatting import many

PLACINGS = ("conv1", "conv2")
"""Convolutions of a bottleneck that can carry its stride: the original's, torchvision's."""


@dataclass(frozen=True)
class Role:
    """The data that plays one role, the images seen in a training, and the test data."""

    train: tuple[Source, ...]
    test: Source
    images: int
    """Images seen in a training; the number of steps follows from the batch."""
    recipe: str = ""
    """A recipe of its own; empty: the profile's."""
    later: int = 0
    """Images seen where it goes on from an earlier stage of the same network; 0: as many."""
    alone: bool = False
    """Its only stage of training: it starts as a first stage does where there is no data for an earlier one."""


@dataclass(frozen=True)
class Profile:
    """One scale at which every table can be run."""

    name: str
    about: str
    backbones: Mapping[str, str]
    """The paper's backbone -> the one that stands for it."""
    pretrained: frozenset[str]
    """Backbones whose training starts from an ImageNet weight file."""
    roles: Mapping[str, Role]
    recipes: Mapping[str, Recipe]
    """By name; the first is the default."""
    tests: Mapping[str, Source]
    """Roles of ``Evaluation.data``: the source that replaces a role's own test split."""
    largest_k: int = 99
    """Cells of the last feature map: a larger kernel is cut to it."""
    last_channels: int = PAPER_CHANNELS
    """Channels of res-5 of its backbones."""
    crf: CRF = field(default_factory=CRF)
    """The dense CRF of every evaluation that names no other; chosen on training images."""
    threads: int = 1
    """Threads of torch in a process. They change the last bits of a CPU's sums, so they are the same on every machine
    and for any ``--jobs``; the shipped records have one, which also gives the most trainings an hour."""
    memory: int = 0
    """Bytes that a process takes at most on a CPU, from the records of the profile; 0: never measured."""
    steps: int | None = None
    """Cut every training to this many steps; None: as long as its role says."""
    recipe: str = ""
    """The recipe of every role that has none of its own; empty: the first."""
    stride_in: str | None = None
    """Convolution of a bottleneck that carries the stride, ``conv1`` or ``conv2``; None: as the spec says (conv1)."""
    default: bool = False
    """Used where no profile is named; its tables and figures lie in the output folder itself."""
    comparable_with_paper: bool = False
    """Trained and tested on the paper's data: scores are compared with the reported ones in absolute terms."""
    plans_compute: bool = False
    """Whether ``repro plan`` shows the operations and hours of every run: its runs take GPU days."""
    _runs: dict[tuple[int, int], tuple[Training, Evaluation | None, Run | None]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    """Resolved runs, by identity: equal numbers of two kinds (1 and 1.0) are two keys."""

    def __post_init__(self) -> None:
        """Refuse a recipe that the profile does not have, a length below 1, and an unknown placing of the stride."""
        if self.recipe and self.recipe not in self.recipes:
            raise SpecError(
                f"recipe {self.recipe!r} is not one of profile {self.name}; choose from {', '.join(self.recipes)}"
                f"{near(self.recipe, self.recipes)}"
            )
        if self.steps is not None and self.steps < 1:
            raise SpecError(f"steps {self.steps}: give a positive number, or none for the profile's own length")
        if self.stride_in not in (None, *PLACINGS):
            raise SpecError(f"stride in {self.stride_in!r}: choose from {', '.join(PLACINGS)}")

    @property
    def variant(self) -> str:
        """Differences of its trainings from the profile's own, for a table's title; empty where there are none."""
        cut = "" if self.steps is None else f"every training cut to {many(self.steps, 'step')}"
        recipe = f"recipe {self.recipe}" if self.recipe and self.recipe != next(iter(self.recipes)) else ""
        placed = f"stride in {self.stride_in}" if self.stride_in not in (None, PLACINGS[0]) else ""
        return "; ".join(part for part in (cut, recipe, placed) if part)

    def folder(self, root: Path) -> Path:
        """Return the folder of its tables or figures: a subfolder of ``root``, or ``root`` for the default profile."""
        return root if self.default else root / self.name

    def resolve(self, training: Training, evaluation: Evaluation | None = None) -> Run | None:
        """Return the run that fills a cell here, or None where this profile has no such data.

        The same two values give the same run, whose key is then computed once.
        """
        asked = id(training), id(evaluation)
        if asked not in self._runs:
            self._runs[asked] = training, evaluation, self._resolve(training, evaluation)
        return self._runs[asked][2]

    def _resolve(self, training: Training, evaluation: Evaluation | None) -> Run | None:
        role = self.roles.get(training.data)
        start = self._start(training, alone=role is not None and role.alone)
        if role is None or start is None:
            return None
        evaluation = self._protocol(evaluation or Evaluation())
        test = self.tests.get(evaluation.data) if evaluation.data else role.test
        if test is None:
            return None
        chosen = self.recipes[role.recipe or self.recipe or next(iter(self.recipes))]
        goes_on = training.init is not None and isinstance(training.init.model, Model)
        images = role.later if role.later and goes_on else role.images
        return Run(
            profile=self.name,
            model=self._model(training.model),
            train=role.train,
            recipe=chosen,
            steps=max(1, images // chosen.batch_size) if self.steps is None else self.steps,
            test=test,
            start=start,
            evaluation=evaluation,
        )

    def _start(self, training: Training, *, alone: bool) -> Run | Start | None:
        backbone = self.backbones.get(training.model.backbone)
        if backbone is None:
            return None
        init = training.init
        if init is not None:
            run = self.resolve(init)
            if run is not None:
                return run
            from_file = isinstance(init.model, Classifier) and backbone in self.pretrained
            if not from_file and not alone:
                return None
        if isinstance(training.model, Model) and backbone in self.pretrained:
            return Start("imagenet")
        return Start("random")

    def _protocol(self, evaluation: Evaluation) -> Evaluation:
        """Give an evaluation that asks for the usual CRF the profile's parameters."""
        return replace(evaluation, crf=self.crf) if evaluation.crf == CRF() else evaluation

    def _model(self, model: Model | Classifier) -> Model | Classifier:
        model = replace(model, backbone=self.backbones[model.backbone])
        if self.stride_in is not None:
            model = replace(model, stride_in=self.stride_in)  # type: ignore[arg-type]
        if isinstance(model, Model) and isinstance(model.head, GCN) and isinstance(model.head.k, int):
            return replace(model, head=GCN(min(model.head.k, self.largest_k)))
        return model
