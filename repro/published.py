"""Classes and images of every data set as published, known without its loader: a plan needs no numpy and no OpenCV."""

from __future__ import annotations

from collections.abc import Mapping

_CAMVID = {"train": 367, "val": 101, "test": 233, "trainval": 468}
_SHAPES = {
    "train": 1024, "val": 256, "test": 256, "mix": 2048, "fine": 256, "wide": 512, "wide_test": 128, "wide_mix": 1024,
}  # fmt: skip

IMAGES: Mapping[str, Mapping[str, int]] = {
    "voc": {"train": 1464, "val": 1449, "trainval": 2913, "test": 1456, "trainaug": 10_582},
    "coco": {"trainval": 99_310},
    "cityscapes": {"train": 2975, "val": 500, "test": 1525, "train_extra": 19_998},
    "imagenet": {"train": 1_281_167, "val": 50_000},
    "camvid": _CAMVID,
    "camvid_half": _CAMVID,
    "shapes": {
        **_SHAPES,
        **{f"control_{name}": count for name, count in _SHAPES.items()},
        "cls_train": 4096,
        "cls_val": 1000,
        "cls_test": 1000,
    },
}
"""Data set -> split -> images, of ``shapes`` as its generator makes them (a test compares).

VOC and Cityscapes as the paper counts them (sections 4 and 4.3; 2,975 + 19,998 = 22,973 in Stage-1 of Table 9); of COCO
the images with any of VOC's 20 classes, which Stage-1 adds to the 10,582 of VOC and SBD (section 4.2: 109,892 in all).
"""

_CLASSES = {"voc": 21, "coco": 21, "cityscapes": 19, "imagenet": 1000, "camvid": 11, "camvid_half": 11, "shapes": 6}
_OF_IMAGES = {"shapes": 20}
"""Where the splits ``cls_*`` have one class an image."""


def num_classes(dataset: str, split: str = "") -> int:
    """Return the number of classes of a data set's split; raise ``KeyError`` for an unknown data set."""
    return (_OF_IMAGES if split.startswith("cls_") and dataset in _OF_IMAGES else _CLASSES)[dataset]


def images(dataset: str, split: str) -> int | None:
    """Return the number of images of a split; None where none is published."""
    return IMAGES.get(dataset, {}).get(split)
