"""What "train on VOC" means at each scale: paper, camvid, camvid_short, camvid_half, shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from repro.experiment import Recipe, Run, Source, Start
from repro.spec import CRF, GCN, PAPER_CHANNELS, Classifier, Evaluation, Model, Score, SpecError, Table, Training


@dataclass(frozen=True)
class Role:
    """The data that plays one role, how much of it is seen, and what it is tested on."""

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
    """Roles of ``Evaluation.data``: what replaces a role's own test split."""
    largest_k: int = 99
    """Cells of the last feature map: a larger kernel is cut to it."""
    last_channels: int = PAPER_CHANNELS
    """Channels of res-5 of its backbones."""
    crf: CRF = field(default_factory=CRF)
    """The dense CRF of every evaluation that names no other; chosen on training images."""
    steps: int = 0
    """Cut every training to this many steps; 0: as long as its role says."""
    recipe: str = ""
    """The recipe of every role that has none of its own; empty: the first."""
    _runs: dict[tuple[int, int], tuple[Training, Evaluation | None, Run | None]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    """What was resolved, by identity: equal numbers of two kinds (1 and 1.0) are two keys."""

    def __post_init__(self) -> None:
        """Refuse a recipe that the profile does not have, and a negative length."""
        if self.recipe and self.recipe not in self.recipes:
            raise SpecError(
                f"recipe {self.recipe!r} is not one of profile {self.name}; choose from {', '.join(self.recipes)}"
            )
        if self.steps < 0:
            raise SpecError(f"steps {self.steps}: give a positive number, or 0 for the profile's own length")

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
            steps=self.steps or max(1, images // chosen.batch_size),
            test=test,
            start=start,
            evaluation=evaluation,
        )

    def fills(self, table: Table) -> bool:
        """Tell whether this profile has data for every score cell of a table."""
        cells = (cell for row in table.rows for cell in row.cells)
        return all(self.resolve(c.training, c.evaluation) is not None for c in cells if isinstance(c, Score))

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
        if isinstance(model, Model) and isinstance(model.head, GCN) and isinstance(model.head.k, int):
            return replace(model, head=GCN(min(model.head.k, self.largest_k)))
        return model


PAPER_RECIPE = Recipe(
    name="paper",
    optimizer="sgd",
    lr=1e-10,
    batch_size=1,
    weight_decay=5e-4,
    momentum=0.99,
    schedule="fixed",
    loss="sum",
    bias_lr=2.0,
    bias_decay=False,
    frozen_bn=True,
)
FAST_RECIPE = Recipe(
    name="fast",
    optimizer="sgd",
    lr=0.01,
    batch_size=16,
    weight_decay=5e-4,
    schedule="poly",
    warmup=0.02,
    backbone_lr=0.1,
    frozen_bn=True,
)
IMAGENET_RECIPE = Recipe(
    name="imagenet", optimizer="sgd", lr=0.1, batch_size=256, weight_decay=1e-4, warmup=0.05, head_std=0.01
)
SHAPES_RECIPE = Recipe(
    name="fast",
    optimizer="adamw",
    lr=0.015,
    batch_size=8,
    weight_decay=0.01,
    bias_decay=False,
    clip=1.0,
    schedule="poly",
    warmup=0.1,
    flip_vertical=True,
    head_std=0.0,
)

# At the rate of the segmentation networks a classifier learns nothing: its loss stays at log(20).
SHAPES_CLASSIFIER = replace(SHAPES_RECIPE, name="cls", lr=0.002)


def _voc(split: str, size: int = 512) -> Source:
    return Source("voc", split, size, size)


PAPER = Profile(
    name="paper",
    about="VOC 2012, SBD, COCO, Cityscapes and ImageNet as printed; for GPUs",
    backbones={name: name for name in ("resnet152", "resnet101", "resnet50", "resnet50_gcn")},
    pretrained=frozenset({"resnet152", "resnet101"}),
    roles={
        "voc_aug": Role((_voc("trainaug"),), _voc("val"), 300_000),
        "coco_voc_aug": Role((Source("coco", "trainval", 640, 640), _voc("trainaug", 640)), _voc("val"), 300_000),
        "voc": Role((_voc("train"),), _voc("val"), 60_000),
        "cityscapes_mix": Role(
            (
                Source("cityscapes", "train_extra", 800, 800, crop=True),
                Source("cityscapes", "train", 800, 800, crop=True),
            ),
            Source("cityscapes", "val"),
            300_000,
        ),
        "cityscapes": Role((Source("cityscapes", "train", 800, 800, crop=True),), Source("cityscapes", "val"), 150_000),
        "imagenet": Role(
            (Source("imagenet", "train", 224, 224, crop=True),),
            Source("imagenet", "val", 224, 224),
            90 * 1_281_167,
            recipe="imagenet",
        ),
    },
    recipes={"paper": PAPER_RECIPE, "fast": FAST_RECIPE, "imagenet": IMAGENET_RECIPE},
    tests={"voc_val": _voc("val"), "voc_test": _voc("test"), "cityscapes_test": Source("cityscapes", "test")},
)

# Chosen on the held-back fifth of the training images (docs/deviations.md).
CAMVID_RECIPE = Recipe(
    name="fast",
    optimizer="adamw",
    lr=7e-4,
    batch_size=4,
    weight_decay=0.01,
    clip=1.0,
    schedule="poly",
    warmup=0.1,
    backbone_lr=0.1,
    frozen_bn=True,
    head_std=0.0,
    scale=(0.7, 1.4),
)


def _camvid(name: str, dataset: str, about: str, frame: tuple[int, int], images: int, crf: CRF) -> Profile:
    """Return a profile of CamVid: one set of images, so one stage of training, from ImageNet weights."""
    train, test = (Source(dataset, split, *frame) for split in ("train", "val"))
    return Profile(
        name=name,
        about=about,
        backbones={"resnet152": "resnet50", "resnet50": "resnet50"},
        pretrained=frozenset({"resnet50"}),
        roles={"voc_aug": Role((train,), test, images), "voc": Role((train,), test, images, alone=True)},
        recipes={"fast": CAMVID_RECIPE, "paper": PAPER_RECIPE},
        tests={"voc_val": test},
        crf=crf,
    )


CAMVID = _camvid(
    "camvid",
    "camvid",
    "real street scenes (367 training, 101 validation), ImageNet ResNet-50; one GPU for an hour",
    (384, 480),
    30_000,
    CRF(),
)
CAMVID_SHORT = _camvid(
    "camvid_short",
    "camvid",
    "the same scenes at their full size and a short training; one core, an hour and a half a training",
    (384, 480),
    6_000,
    CRF(),
)
CAMVID_HALF = _camvid(
    "camvid_half",
    "camvid_half",
    "the same scenes at half their size and a short training; a laptop, overnight",
    (192, 256),
    4_800,
    # The best of `repro crf-grid` on training images, which is worse than none (docs/decisions/0005).
    CRF(position_w=3.0, position_sd=1.0, bilateral_w=1.0, bilateral_sd=10.0, bilateral_color_sd=3.0),
)


def _shapes(split: str) -> Source:
    return Source("shapes", split, 96, 96)


def _wide(split: str) -> Source:
    """Return images of 96 x 192 as training sees them: one random square of each."""
    return Source("shapes", split, 96, 96, crop=True)


# The recipes were chosen on "val" and "cls_val"; scores come from images that nothing was chosen on.
_SHAPES_TEST, _WIDE_TEST = _shapes("test"), Source("shapes", "wide_test")
SHAPES = Profile(
    name="shapes",
    about="generated from a seed, nothing to download; a laptop, minutes",
    backbones={"resnet152": "small", "resnet50": "small", "resnet50_gcn": "small_gcn"},
    pretrained=frozenset(),
    roles={
        "voc_aug": Role((_shapes("train"),), _SHAPES_TEST, 12_000, later=6_000),
        "coco_voc_aug": Role((_shapes("mix"), _shapes("train")), _SHAPES_TEST, 12_000),
        "voc": Role((_shapes("fine"),), _SHAPES_TEST, 6_000),
        "cityscapes_mix": Role((_wide("wide_mix"), _wide("wide")), _WIDE_TEST, 12_000),
        "cityscapes": Role((_wide("wide"),), _WIDE_TEST, 6_000),
        "imagenet": Role((_shapes("cls_train"),), _shapes("cls_test"), 12_000, recipe="cls"),
        "control": Role((_shapes("control_train"),), _shapes("control_test"), 12_000),
    },
    recipes={"fast": SHAPES_RECIPE, "cls": SHAPES_CLASSIFIER},
    tests={"voc_val": _SHAPES_TEST},
    largest_k=15,
    last_channels=48,
    # The best of `repro crf-grid` on training images (docs/deviations.md).
    crf=CRF(position_w=3.0, position_sd=1.0, bilateral_w=10.0, bilateral_sd=80.0, bilateral_color_sd=3.0),
)

PROFILES: Mapping[str, Profile] = {
    profile.name: profile for profile in (SHAPES, CAMVID_HALF, CAMVID_SHORT, CAMVID, PAPER)
}


def get(name: str, *, steps: int = 0, recipe: str = "") -> Profile:
    """Return a profile by name, its trainings cut to ``steps`` or under another recipe where asked.

    Raises:
        SpecError: an unknown name, recipe, or a negative length; the sentence lists the known ones.
    """
    if name not in PROFILES:
        raise SpecError(f"profile {name!r} is unknown; choose from {', '.join(PROFILES)}")
    return replace(PROFILES[name], steps=steps, recipe=recipe) if steps or recipe else PROFILES[name]
