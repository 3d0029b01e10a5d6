"""Profile ``shapes``: generated images in which only an outline tells the class, and a control for them."""

from __future__ import annotations

from dataclasses import replace

from repro.config.experiment import CRF, Recipe, Source
from repro.config.profiles.base import Profile, Role

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
    memory=1_300_000_000,
    last_channels=48,
    default=True,
    # The best of `repro crf-grid` on training images (docs/deviations.md).
    crf=CRF(position_w=3.0, position_sd=1.0, bilateral_w=10.0, bilateral_sd=80.0, bilateral_color_sd=3.0),
)
