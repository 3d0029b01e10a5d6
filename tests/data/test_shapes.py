"""The generated data set: the same bits everywhere, only outlines tell classes, and only the control says otherwise."""

from __future__ import annotations

import hashlib
from typing import Any, TypedDict

import numpy as np
import pytest
from numpy.typing import NDArray

from repro.config import dataset_info
from repro.data import shapes
from repro.data.dataset import Bytes


class Options(TypedDict, total=False):
    """Options of `make_image`."""

    size: int
    textured: bool
    control: bool
    coarse: bool
    wide: bool


def _digest(*arrays: NDArray[np.integer[Any]]) -> str:
    """First 16 hex digits of the sha256 of the arrays' bytes."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:16]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "615510de0c8bf7db"),
        ({"control": True}, "f5a3b9d5af9c6b87"),
        ({"coarse": True}, "a65ff2ffb7846a37"),
        ({"textured": False}, "e32a08178700c7f6"),
        ({"size": 128}, "749a99b79d747384"),
    ],
)
def test_images_are_the_same_on_every_machine(options: Options, expected: str) -> None:
    """Integer arithmetic leaves nothing to a compiler or a library: the bytes are pinned."""
    pairs = [shapes.make_image(7, index, **options) for index in range(4)]
    assert _digest(*(array for pair in pairs for array in pair)) == expected


def test_image_split_is_the_same_on_every_machine() -> None:
    """The classification images are pinned too."""
    assert _digest(*shapes.make_image_split("train", size=64, count=8)) == "e0ecc4d102063129"


def test_shapes_types_and_ranges() -> None:
    """Images are bytes (n, h, w, 3), labels bytes (n, h, w) within the class list."""
    images, labels = shapes.make_split("val", count=48)
    assert images.shape == (48, shapes.SIZE, shapes.SIZE, 3)
    assert labels.shape == (48, shapes.SIZE, shapes.SIZE)
    assert images.dtype == labels.dtype == np.uint8
    assert set(np.unique(labels)) == set(range(len(shapes.CLASSES)))
    assert len(dataset_info.get("shapes").palette) == len(shapes.CLASSES) == len(shapes.TEXTURES) == 6


def test_control_changes_textures_only() -> None:
    """The control has the labels, the colours and the scenes of the normal set, image by image."""
    images, labels = shapes.make_split("val", count=32)
    control_images, control_labels = shapes.make_split("val", count=32, control=True)
    np.testing.assert_array_equal(labels, control_labels)
    assert (images != control_images).any()
    flat, _ = shapes.make_image(2, 0, textured=False)
    flat_control, _ = shapes.make_image(2, 0, textured=False, control=True)
    np.testing.assert_array_equal(flat, flat_control)


def _grain(images: Bytes, labels: Bytes) -> NDArray[np.float64]:
    """Mean absolute step (class, axis) between neighbours that both lie inside objects of one class."""
    grey = images.astype(np.int64).sum(axis=3)
    found = np.empty((len(shapes.CLASSES), 2))
    for axis in (1, 2):
        step = np.abs(np.diff(grey, axis=axis))
        first = labels.take(range(labels.shape[axis] - 1), axis)
        same = np.diff(labels.astype(np.int64), axis=axis) == 0
        for label in range(len(shapes.CLASSES)):
            found[label, axis - 1] = step[same & (first == label)].mean()
    return found


def test_texture_tells_the_class_only_in_the_control() -> None:
    """Inside an object the steps from pixel to pixel are alike in all classes, but in the control set apart."""
    normal = _grain(*shapes.make_split("train", count=300))
    control = _grain(*shapes.make_split("train", count=300, control=True))
    spread, spread_control = (grain.std(axis=0) / grain.mean(axis=0) for grain in (normal, control))
    assert (spread < 0.06).all()
    assert (spread_control > 0.3).all()


def test_colour_does_not_tell_the_class() -> None:
    """The mean colour of every class is the same, within what 300 images can show."""
    images, labels = shapes.make_split("train", count=300)
    means = np.array([images[labels == label].mean(axis=0) for label in range(len(shapes.CLASSES))])
    assert np.ptp(means, axis=0).max() < 16


def test_areas_range_from_small_to_most_of_the_image() -> None:
    """Some objects cover less than 2 % of the image, some more than half, and no class is larger than another."""
    shares = []
    for index in range(300):
        labels = shapes.make_image(1, index)[1]
        shares += [float((labels == label).mean()) for label in np.unique(labels) if label]
    assert min(shares) < 0.02
    assert max(shares) > 0.5


def test_splits_share_no_image() -> None:
    """Every split draws from a stream of its own, but "fine", which is the beginning of "train"."""
    splits = [split for name, split in shapes.SCENE_SPLITS.items() if name != "fine"] + [*shapes.IMAGE_SPLITS.values()]
    assert len({split.seed for split in splits}) == len(splits)
    first = {_digest(shapes.make_split(name, count=1)[0]) for name in shapes.SCENE_SPLITS}
    assert len(first) == len(shapes.SCENE_SPLITS) - 1


def test_fine_is_the_beginning_of_train() -> None:
    """As VOC's own training images are among those of VOC and SBD."""
    fine, train = shapes.SCENE_SPLITS["fine"], shapes.SCENE_SPLITS["train"]
    assert (fine.seed, fine.coarse, fine.wide) == (train.seed, False, False)
    assert (dataset_info.images("shapes", "fine") or 0) < (dataset_info.images("shapes", "train") or 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train", "fc05b8ca1fa8d038"),
        ("val", "842d76aa403e4f00"),
        ("test", "6cd0589879e506d1"),
        ("mix", "b8d8a0a8784fe0b3"),
        ("wide", "7df8a49f28f7ba10"),
        ("wide_test", "eb1f7fb962155e36"),
        ("wide_mix", "51725c47acee3ead"),
    ],
)
def test_splits_are_the_same_on_every_machine(name: str, expected: str) -> None:
    """The records' images: the first sixteen of each split are pinned."""
    assert _digest(*shapes.make_split(name, count=16)) == expected


def test_wide_images_hold_two_scenes() -> None:
    """Twice as wide as high, two to four objects, both ends used, coarse labels over the same images."""
    images, labels = shapes.make_split("wide", count=64)
    assert images.shape == (64, shapes.SIZE, 2 * shapes.SIZE, 3)
    assert labels.shape == images.shape[:3]
    assert (labels[:, :, : shapes.SIZE] > 0).any((1, 2)).mean() > 0.95
    assert (labels[:, :, shapes.SIZE :] > 0).any((1, 2)).mean() > 0.95
    image, exact = shapes.make_image(7, 0, wide=True)
    same, coarse = shapes.make_image(7, 0, wide=True, coarse=True)
    np.testing.assert_array_equal(image, same)
    assert (exact != coarse).any()


def test_an_image_does_not_depend_on_the_others() -> None:
    """Image 3 of a split is image 3 of its stream, however many are made."""
    images, labels = shapes.make_split("val", count=5)
    image, label = shapes.make_image(shapes.SCENE_SPLITS["val"].seed, 3)
    np.testing.assert_array_equal(images[3], image)
    np.testing.assert_array_equal(labels[3], label)


def test_mix_has_true_images_and_coarse_labels() -> None:
    """A hurried annotator's labels differ from the truth, mostly at the boundary, and some objects are void."""
    images, coarse = shapes.make_split("mix", count=64)
    pairs = [shapes.make_image(shapes.SCENE_SPLITS["mix"].seed, index) for index in range(64)]
    truth = np.stack([label for _, label in pairs])
    np.testing.assert_array_equal(images, np.stack([image for image, _ in pairs]))
    assert 0.02 < (coarse != truth).mean() < 0.2
    assert (coarse == shapes.IGNORE_INDEX).any()


def test_image_split_has_one_object_of_each_class() -> None:
    """Labels of the classification split index its class list, and every class occurs."""
    images, labels = shapes.make_image_split("val", size=64, count=200)
    assert images.shape == (200, 64, 64, 3)
    assert set(labels.tolist()) == set(range(len(shapes.IMAGE_CLASSES)))
