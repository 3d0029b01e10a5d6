"""Profiles ``camvid``, ``camvid_short`` and ``camvid_half``: real street scenes, one set of images for every stage."""

from __future__ import annotations

from repro.config.experiment import CRF, Recipe, Source
from repro.config.profiles.base import Profile, Role
from repro.config.profiles.paper import PAPER_RECIPE

# Chosen on the held-back fifth of the training images (docs/decisions/0005).
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
        memory=7_500_000_000,  # stacks of Table 3, which have the most weights; the others take 2.8 GB at most
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
