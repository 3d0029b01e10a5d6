"""Profile ``paper``: the data, networks and recipes as reported."""

from __future__ import annotations

from repro.config.experiment import Recipe, Source
from repro.config.profiles.base import Profile, Role

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
    comparable_with_paper=True,
    plans_compute=True,
)
