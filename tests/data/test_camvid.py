"""CamVid in SegNet's split, on small files of its layout."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from repro.config import dataset_info, profiles
from repro.config.errors import DataError
from repro.config.experiment import Start
from repro.data import camvid, load
from repro.data.cache import open_store
from repro.paper.schema import Score
from repro.paper.tables import all_tables
from tests.support.data_files import make_camvid, noise, save


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


def test_every_side_is_halved_and_labels_stay_labels(tmp_path: Path) -> None:
    make_camvid(tmp_path)
    whole, half = load("camvid", "train", tmp_path), load("camvid_half", "train", tmp_path)
    assert half.ids == whole.ids
    for i in range(len(half)):
        (image, labels), (small, few) = whole.read(i), half.read(i)
        assert small.shape == (round(image.shape[0] / 2), round(image.shape[1] / 2), 3)
        assert few.shape == small.shape[:2]
        assert set(np.unique(few)) <= set(np.unique(labels))


def test_the_held_part_is_the_end_of_each_sequence_and_never_fitted() -> None:
    ids = tuple(f"{name}_{i:05d}" for name in ("0001TP", "0006R0") for i in range(10))
    held, fit = camvid.divided(ids, held=True), camvid.divided(ids, held=False)
    assert [ids[i] for i in held] == ["0001TP_00008", "0001TP_00009", "0006R0_00008", "0006R0_00009"]
    assert sorted((*held, *fit)) == list(range(len(ids)))


def test_the_one_stage_of_camvid_fills_the_last_stage_of_table_7_and_no_earlier_one() -> None:
    table = all_tables()[7]
    cells = {row.label: row.cells for row in table.rows}
    for name in ("camvid", "camvid_half"):
        profile = profiles.get(name)
        for label in ("Stage-1(%)", "Stage-2(%)"):
            assert [profile.resolve(c.training) for c in cells[label] if isinstance(c, Score)] == [None] * 3
        for cell in cells["Stage-3(%)"]:
            assert isinstance(cell, Score)
            run = profile.resolve(cell.training)
            assert run is not None
            assert run.start == Start("imagenet")
            # The same training as that of Tables 1 and 5.
            assert run == profile.resolve(replace(cell.training, data="voc_aug", init=None))


def test_a_picture_is_scaled_as_those_of_the_training_were() -> None:
    assert dataset_info.get("camvid_half").reduction == 0.5
    assert dataset_info.get("camvid").reduction == 1
