"""Data sets by name, mixes, and the promise that reading data needs no torch."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from data_files import make_camvid, make_voc, voc_mask

from repro.config import dataset_info
from repro.config.errors import DataError
from repro.config.profiles import PROFILES
from repro.data import IGNORE_INDEX, NAMES, concatenate, load, splits


def test_names_and_classes() -> None:
    """Every data set has a loader, its splits and its number of classes."""
    expected = {"voc": 21, "coco": 21, "cityscapes": 19, "imagenet": 1000, "camvid": 11, "camvid_half": 11}
    assert {name: dataset_info.num_classes(name) for name in NAMES if name != "shapes"} == expected
    assert all(splits(name) for name in NAMES)
    assert IGNORE_INDEX == 255


def test_what_is_published_is_what_the_loaders_say() -> None:
    """Classes and images that a plan reads without a loader are the loaders' own, of the generated set too."""
    from repro.data import shapes

    assert dataset_info.IMAGES.keys() == set(NAMES)
    assert dict(dataset_info.IMAGES["shapes"]) == shapes.SIZES
    for name in sorted(set(NAMES) - {"imagenet"}):  # whose classes are the folders of a data root
        loader = import_module(f"repro.data.{name}")
        for split in splits(name):
            classes = loader.IMAGE_CLASSES if split.startswith("cls_") else loader.CLASSES
            assert dataset_info.num_classes(name, split) == len(classes), (name, split)
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
    assert dataset_info.num_classes("shapes", "cls_val") == len(load("shapes", "cls_val").classes)


def test_every_source_of_every_profile_is_known() -> None:
    """No profile names a split that its data set has not."""
    for profile in PROFILES.values():
        sources = [s for role in profile.roles.values() for s in (*role.train, role.test)]
        for source in (*sources, *profile.tests.values()):
            assert source.split in splits(source.dataset), (profile.name, source)


@pytest.mark.parametrize(
    ("dataset", "split", "words"),
    [
        ("vox", "train", "data set 'vox' is unknown; choose from shapes, voc"),
        ("voc", "trian", "split 'trian' is not one of voc; choose from train, val"),
        ("voc", "train", "voc needs a data root"),
        ("voc+camvid", "train", "needs 2 splits joined by '\\+'"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(dataset: str, split: str, words: str) -> None:
    """A wrong name gets one sentence that lists the right ones."""
    with pytest.raises(DataError, match=words):
        load(dataset, split)


@pytest.mark.parametrize("dataset", [name for name in NAMES if name != "shapes"])
def test_a_missing_root_and_an_empty_one_are_named(dataset: str, tmp_path: Path) -> None:
    """A root that is missing, or holds nothing of the data set, is named with what should be there."""
    split = splits(dataset)[0]
    with pytest.raises(DataError, match="is not a folder"):
        load(dataset, split, tmp_path / "nowhere")
    with pytest.raises(DataError, match=f"is not in data root {tmp_path}: there is no "):
        load(dataset, split, tmp_path)


def test_a_mix_keeps_every_image_apart(tmp_path: Path) -> None:
    """A mix holds the parts one after the other, under names of their own."""
    make_voc(tmp_path)
    mix = load("voc+voc", "train+val", tmp_path)
    assert mix.ids == ("voc/train/a", "voc/train/b", "voc/val/c")
    for i in range(3):
        assert np.array_equal(mix.read(i)[1], voc_mask(i))
    assert [path.stem for path in mix.sources(2)] == ["c", "c"]
    assert mix.name == "voc+voc"
    assert mix.root == tmp_path


def test_a_mix_of_different_classes_is_refused(tmp_path: Path) -> None:
    """VOC and CamVid have no classes in common."""
    make_voc(tmp_path)
    make_camvid(tmp_path)
    with pytest.raises(DataError, match="voc and camvid have different classes"):
        load("voc+camvid", "train+train", tmp_path)


def test_an_image_listed_twice_is_refused(tmp_path: Path) -> None:
    """A name that a split holds twice would count twice."""
    make_voc(tmp_path)
    data = load("voc", "train", tmp_path)
    mix = concatenate([data])
    with pytest.raises(DataError, match="voc/train lists a twice"):
        type(mix)("voc", "train", mix.classes, mix.palette, ("a", "a"), mix.reader)


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
