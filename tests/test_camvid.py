"""CamVid in SegNet's split, on small files of its layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from data_files import make_camvid, noise, save

from repro.config.errors import DataError
from repro.data import load
from repro.data.cache import open_store


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_eleven_is_void(tmp_path: Path, ending: str) -> None:
    """Ids 0 to 10 stay, 11 becomes 255; images may be PNG or JPEG."""
    make_camvid(tmp_path, ending)
    data = load("camvid", "train", tmp_path)
    assert data.ids == ("train0", "train1")
    stored = noise(0, 9, 12, top=12)
    assert (stored == 11).any()
    assert np.array_equal(data.read(0)[1], np.where(stored == 11, 255, stored))
    assert len(data.classes) == len(data.palette) == 11


def test_splits(tmp_path: Path) -> None:
    """The split trainval is train and val; PNG images come back bit for bit."""
    make_camvid(tmp_path)
    data = load("camvid", "trainval", tmp_path)
    assert data.ids == ("train0", "train1", "val0")
    assert np.array_equal(data.read(2)[0], noise(10, 9, 12, 3))
    assert load("camvid", "test", tmp_path).ids == ("test0",)


def test_an_image_without_a_mask_is_refused(tmp_path: Path) -> None:
    """It is named, with the folder where its mask should be."""
    (make_camvid(tmp_path) / "trainannot/train1.png").unlink()
    with pytest.raises(DataError, match=r"the mask of train1 is missing in .*trainannot"):
        load("camvid", "train", tmp_path)


def test_a_mask_without_an_image_is_refused(tmp_path: Path) -> None:
    """A folder that was unpacked by half would silently be a smaller data set."""
    (make_camvid(tmp_path) / "train/train1.png").unlink()
    with pytest.raises(DataError, match=r"train1\.png has no image in "):
        load("camvid", "train", tmp_path)


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    """The copies without a test folder say so when it is asked for."""
    home = make_camvid(tmp_path)
    (home / "test").rename(home / "t")
    with pytest.raises(DataError, match=r"folder .*test is missing"):
        load("camvid", "test", tmp_path)


def test_a_label_outside_the_classes_is_refused(tmp_path: Path) -> None:
    """12 is neither a class nor void."""
    save(np.full((9, 12), 12, np.uint8), make_camvid(tmp_path) / "valannot/val0.png")
    with pytest.raises(DataError, match=r"val0\.png holds label 12"):
        load("camvid", "val", tmp_path).read(0)


@pytest.mark.parametrize("name", ["test0", "other"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_picture_of_two_splits_is_refused(tmp_path: Path, name: str, split: str) -> None:
    """Under its own name when a split is loaded, under another when its store is written; both files are named."""
    home = make_camvid(tmp_path / "data")
    shutil.copy(home / "test/test0.png", home / f"train/{name}.png")
    save(np.zeros((9, 12), np.uint8), home / f"trainannot/{name}.png")
    words = rf"train/{name}\.png and .*test/test0\.png are the same picture; remove one"
    for dataset in ("camvid", "camvid_half"):
        with pytest.raises(DataError, match=words):
            open_store(load(dataset, split, tmp_path / "data"), tmp_path / "cache")


def test_copies_within_a_split_and_pictures_of_one_size_are_left_alone(tmp_path: Path) -> None:
    """Only what is scored must not have been trained on."""
    home = make_camvid(tmp_path / "data", "bmp")
    shutil.copy(home / "train/train0.bmp", home / "train/again.bmp")
    save(np.zeros((9, 12), np.uint8), home / "trainannot/again.png")
    assert len(open_store(load("camvid", "train", tmp_path / "data"), tmp_path / "cache")) == 3
