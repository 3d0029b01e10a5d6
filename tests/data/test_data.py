"""Data sets by name, mixes, and the promise that reading data needs no torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from repro.config import dataset_info
from repro.config.errors import DataError
from repro.config.profiles import PROFILES
from repro.data import IGNORE_INDEX, load
from tests.support.data_files import make_voc


def test_names_and_classes() -> None:
    """Every data set has a loader, its splits and its number of classes."""
    expected = {"voc": 21, "coco": 21, "cityscapes": 19, "imagenet": 1000, "camvid": 11, "camvid_half": 11}
    known = {name: info.num_classes("train") for name, info in dataset_info.DATASETS.items()}
    assert known.items() >= (expected | {"shapes": 6}).items()
    assert dataset_info.get("shapes").num_classes("cls_val") == 20
    assert all(info.images for info in dataset_info.DATASETS.values())
    assert IGNORE_INDEX == 255


def test_every_row_is_whole() -> None:
    """A loader, a colour and a count of pixels for each class, archives or the reason why there are none."""
    from repro.data import shapes

    for name, info in dataset_info.DATASETS.items():
        assert callable(import_module(info.loader).load), name
        assert info.name == name
        assert len(info.palette) == len(info.classes) == len(set(info.classes)), name
        assert {len(pixels) for pixels in info.pixels.values()} <= {len(info.classes) + 1}, name
        assert bool(info.archives) != bool(info.by_hand), name
        assert {*info.pixels, *info.distinct} <= set(info.images), name
        assert all(split in dataset_info.get(part).images for joint in info.joint for part, split in joint.parts)
    assert len(shapes.IMAGE_CLASSES) == dataset_info.get("shapes").image_classes
    assert dataset_info.images("voc", "trainaug") == 10_582
    assert dataset_info.images("vox", "train") is None


def test_shapes_needs_no_root() -> None:
    """The generated set loads without a root, its pixels as the generator makes them, in both kinds."""
    from repro.data import shapes

    data = load("shapes", "val")
    image, labels = data.read(3)
    made, truth = shapes.make_split("val", count=4)
    assert np.array_equal(image, made[3])
    assert np.array_equal(labels, truth[3])
    assert data.sources(3) == ()
    assert load("shapes", "cls_val").kind == "classification"
    assert dataset_info.get("shapes").num_classes("cls_val") == len(load("shapes", "cls_val").classes)


def test_every_source_of_every_profile_is_known() -> None:
    """No profile names a split that its data set has not."""
    for profile in PROFILES.values():
        sources = [s for role in profile.roles.values() for s in (*role.train, role.test)]
        for source in (*sources, *profile.tests.values()):
            assert source.split in dataset_info.get(source.dataset).images, (profile.name, source)


@pytest.mark.parametrize(
    ("dataset", "split", "words"),
    [
        ("vox", "train", "data set 'vox' is unknown; choose from shapes, voc"),
        ("voc", "trian", "split 'trian' is not one of voc; choose from train, val"),
        ("voc", "train", "voc needs a data root"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(dataset: str, split: str, words: str) -> None:
    """A wrong name gets one sentence that lists the right ones."""
    with pytest.raises(DataError, match=words):
        load(dataset, split)


@pytest.mark.parametrize("dataset", [name for name in dataset_info.DATASETS if name != "shapes"])
def test_a_missing_root_and_an_empty_one_are_named(dataset: str, tmp_path: Path) -> None:
    """A root that is missing, or holds nothing of the data set, is named with what should be there."""
    split = next(iter(dataset_info.get(dataset).images))
    with pytest.raises(DataError, match="is not a folder"):
        load(dataset, split, tmp_path / "nowhere")
    with pytest.raises(DataError, match=f"is not in data root {tmp_path}: there is no "):
        load(dataset, split, tmp_path)


def test_an_image_listed_twice_is_refused(tmp_path: Path) -> None:
    """A name that a split holds twice would count twice."""
    make_voc(tmp_path)
    data = load("voc", "train", tmp_path)
    with pytest.raises(DataError, match="voc/train lists a twice"):
        replace(data, ids=("a", "a"))


def test_reading_data_never_reaches_torch() -> None:
    """Every module of repro.data but those that make batches runs in a process without torch."""
    code = (
        "import sys, importlib, pkgutil, repro.data as d\n"
        "on_torch = {'normalise', 'loader', 'gpu_loader'}\n"
        "for m in pkgutil.iter_modules(d.__path__):\n"
        "    if m.name not in on_torch: importlib.import_module('repro.data.' + m.name)\n"
        "assert 'torch' not in sys.modules\n"
        "import repro.data.loader\n"
        "assert 'torch' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
