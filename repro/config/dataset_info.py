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

PIXELS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "voc": {
        "train": (182014429, 1780580, 758311, 2232247, 1514260, 1517186, 4375622, 3494749, 6752515, 2861091, 2060925,
                  3381632, 4344951, 2283739, 2888641, 11995853, 1670340, 2254463, 3612229, 3984238, 2349235, 14335564),
        "val": (179546198, 1923813, 812837, 2151885, 1348653, 1921777, 4320752, 3593454, 5720951, 2114193, 2966844,
                2864750, 5034389, 2641937, 2587440, 12999623, 1234562, 1932805, 3479235, 3919005, 1771754, 14232845),
        "trainaug": (1305844204, 17325003, 15645245, 16750627, 12651979, 9813865, 23084944, 37562309, 61447795,
                     24759131, 10473573, 19924664, 54819735, 17173954, 22299090, 146345875, 11839776, 11552140,
                     22768082, 24968821, 14748801, 14335564),
    },
    "camvid": {
        "train": (10682767, 14750079, 623349, 20076880, 2845085, 6166762, 743859, 714595, 3719877, 405385, 184967,
                  2503995),
        "val": (1601620, 4531180, 98499, 5053176, 1521751, 2851125, 155724, 537197, 304716, 113531, 387010, 297271),
    },
}  # fmt: skip
"""Data set -> split -> pixels of each class and, last, of void, counted in the published masks.

VOC's own masks, of trainaug with SBD's in the form of ``SegmentationClassAug``; CamVid as SegNet's split has it.
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


Partial = Mapping[str, tuple[int, int]]
"""``dataset/split`` -> images that it holds and that are published, of splits that hold fewer."""


def partial(held: Mapping[str, int]) -> Partial:
    """Return which of some splits hold fewer images than are published, by the number that each holds."""
    known = {name: images(*name.split("/", 1)) for name in held}
    return {name: (held[name], count) for name, count in known.items() if count is not None and held[name] < count}


def shortfall(found: object) -> str:
    """Return partial splits as a sentence names them, ``camvid/train 6 of 367 images``; empty where there are none."""
    if not isinstance(found, Mapping):
        return ""
    pairs = [(name, pair) for name, pair in sorted(found.items()) if isinstance(pair, (list, tuple)) and len(pair) == 2]  # noqa: PLR2004
    return ", ".join(f"{name} {pair[0]:,} of {pair[1]:,} images" for name, pair in pairs)
