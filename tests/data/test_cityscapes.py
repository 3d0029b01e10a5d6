"""Cityscapes' label ids and train ids, against cityscapesscripts and a slow loop."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from cityscapesscripts.helpers.labels import id2label, trainId2label
from PIL import Image

from repro.config import dataset_info
from repro.config.errors import DataError
from repro.data import cityscapes, load
from repro.data.cache import open_store
from repro.data.verify import check
from tests.support.data_files import LABEL_IDS, make_cityscapes, noise, save

INFO = dataset_info.get("cityscapes")

TRAINED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def test_table_agrees_with_cityscapesscripts() -> None:
    """The 19 classes are the ones that the paper trains, in cityscapesscripts' order; the other ids are void."""
    assert tuple(cityscapes.TO_LABEL_ID[i] for i in range(19)) == TRAINED
    assert tuple(trainId2label[i].name for i in range(19)) == INFO.classes
    assert tuple(trainId2label[i].color for i in range(19)) == INFO.palette
    for label, train in cityscapes.TO_TRAIN_ID.items():
        assert train == (255 if id2label[label].ignoreInEval else id2label[label].trainId)
    assert set(cityscapes.TO_TRAIN_ID) == set(range(34))


def test_labels_are_translated(tmp_path: Path) -> None:
    """Pixel by pixel, each stored id has its train id, and comes back from it."""
    make_cityscapes(tmp_path)
    data = load("cityscapes", "train", tmp_path)
    assert data.ids == ("aachen_0_1", "bochum_0_2")
    image, labels = data.read(1)
    stored = np.array(LABEL_IDS, np.uint8)[noise(1, 16, 32, top=len(LABEL_IDS))]
    slow = [[TRAINED.index(v) if v in TRAINED else 255 for v in row] for row in stored.tolist()]
    assert labels.tolist() == slow
    assert np.array_equal(image, noise(1, 16, 32, 3))
    back = cityscapes.to_label_ids(labels)
    assert np.array_equal(back, np.where(labels == 255, 0, stored))


def test_coarse_and_test_splits(tmp_path: Path) -> None:
    """train_extra reads gtCoarse; test has no labels."""
    home = make_cityscapes(tmp_path)
    extra = load("cityscapes", "train_extra", tmp_path)
    assert extra.sources(0)[1] == home / "gtCoarse/train_extra/erlangen/erlangen_0_5_gtCoarse_labelIds.png"
    test = load("cityscapes", "test", tmp_path)
    assert not test.labelled
    assert (test.read(0)[1] == 255).all()


@pytest.mark.parametrize("void", [True, False])
def test_train_ids_in_place_of_label_ids_are_refused(tmp_path: Path, void: bool) -> None:
    """Files named labelIds that hold train ids would be another, wrong, set of classes."""
    home = make_cityscapes(tmp_path)
    ids = noise(7, 16, 32, top=19)
    if void:
        ids[0] = 255
    for path in home.glob("gtFine/train/*/*labelIds.png"):
        save(ids, path)
    with pytest.raises(DataError, match=r"gtFine/train holds train ids where label ids are expected"):
        load("cityscapes", "train", tmp_path)


def test_a_single_file_of_train_ids_is_refused(tmp_path: Path) -> None:
    """A file that the sample did not see is refused, by its path, when it is read."""
    home = make_cityscapes(tmp_path)
    data = load("cityscapes", "train", tmp_path)
    path = next(home.glob("gtFine/train/aachen/*"))
    save(np.full((16, 32), 255, np.uint8), path)
    with pytest.raises(DataError, match=rf"mask {path} holds 255, a train id"):
        data.read(0)


def test_only_train_id_files_are_refused(tmp_path: Path) -> None:
    """A folder that has been prepared for another project is recognised."""
    home = make_cityscapes(tmp_path)
    for path in home.glob("gtFine/train/*/*labelIds.png"):
        path.rename(path.with_name(path.name.replace("labelIds", "labelTrainIds")))
    with pytest.raises(DataError, match=r"gtFine/train holds train ids only"):
        load("cityscapes", "train", tmp_path)


def test_missing_parts_are_named(tmp_path: Path) -> None:
    """A missing mask, a missing folder of labels and a missing folder of images are named."""
    home = make_cityscapes(tmp_path)
    next(home.glob("gtFine/train/bochum/*")).unlink()
    with pytest.raises(DataError, match=r"the label ids of bochum_0_2 is missing in .*gtFine/train"):
        load("cityscapes", "train", tmp_path)
    (home / "gtCoarse").rename(home / "coarse")
    with pytest.raises(DataError, match="gtCoarse/train_extra is missing"):
        load("cityscapes", "train_extra", tmp_path)
    (home / "leftImg8bit/val").rename(home / "v")
    with pytest.raises(DataError, match="leftImg8bit/val is missing"):
        load("cityscapes", "val", tmp_path)


def test_counts_are_the_papers() -> None:
    """Section 4.3: 2,975 + 19,998 = 22,973 in Stage-1."""
    published = {"train": 2975, "val": 500, "test": 1525, "train_extra": 19_998}
    assert {split: count for split, count in INFO.images.items() if count} == published
    assert published["train"] + published["train_extra"] == INFO.joint[0].images == 22_973


def scenes(home: Path, count: int = 10) -> list[Path]:
    """Write fine training scenes of road, buildings, vegetation, sky and a car; return the files of label ids."""
    paths = []
    for i in range(count):
        ids = np.full((32, 64), 7, np.uint8)
        ids[:14], ids[:8, 20:40], ids[8:14, 40:], ids[18:24, i : i + 20] = 11, 23, 21, 26
        ids[30:], ids[:, 63] = 1, 3
        ids[14:18, ::9] = 19
        name = f"aachen_{i:06d}_000019"
        save(noise(i, 32, 64, 3), home / f"leftImg8bit/train/aachen/{name}_leftImg8bit.png")
        paths.append(save(ids, home / f"gtFine/train/aachen/{name}_gtFine_labelIds.png"))
    return paths


def train_ids(path: Path, void: int, shift: int = 0) -> None:
    """Store train ids in a file of label ids."""
    with Image.open(path) as image:
        ids = np.array(image)
    table = np.full(256, void, np.uint8)
    table[list(TRAINED)] = np.arange(19) + shift
    save(table[ids], path)


KINDS = [(19, 0), (20, 0), (255, 0), (0, 1), (20, 1), (255, 1)]


@pytest.mark.parametrize(("void", "shift"), KINDS)
def test_train_ids_of_every_kind_are_refused(tmp_path: Path, void: int, shift: int) -> None:
    """Void as 19, 20, 255, or train ids from one on with void 0: when the split is loaded, from a sample."""
    for path in scenes(tmp_path / "cityscapes"):
        train_ids(path, void, shift)
    with pytest.raises(DataError, match=r"gtFine/train holds train ids where label ids are expected"):
        load("cityscapes", "train", tmp_path)


@pytest.mark.parametrize("which", [(3,), (1, 3, 5, 7)])
@pytest.mark.parametrize(("void", "shift"), KINDS)
def test_a_part_of_train_ids_is_refused(tmp_path: Path, void: int, shift: int, which: tuple[int, ...]) -> None:
    """Every file is looked at when the store is written; the first bad one is named."""
    paths = scenes(tmp_path / "data/cityscapes", 20)
    for i in which:
        train_ids(paths[i], void, shift)
    with pytest.raises(DataError, match=r"train ids|holds 255, a train id") as error:
        open_store(load("cityscapes", "train", tmp_path / "data"), tmp_path / "cache")
    assert str(paths[which[0]]) in str(error.value) or "gtFine/train holds train ids" in str(error.value)
    assert not list((tmp_path / "cache").glob("*/index.npz"))


@pytest.mark.parametrize("step", [1, -1])
def test_label_ids_shifted_by_one_are_refused(tmp_path: Path, step: int) -> None:
    """Every id is one of Cityscapes; the shares are not."""
    for path in scenes(tmp_path / "cityscapes"):
        with Image.open(path) as image:
            ids = np.array(image)
        save(ids + np.uint8(1) if step > 0 else ids - np.uint8(1), path)
    with pytest.raises(DataError, match="holds label ids shifted by one"):
        load("cityscapes", "train", tmp_path)


@pytest.mark.parametrize(
    "ids",
    [(7,), (0,), (0, 7), (0, 7, 11), (0, 11, 17), (1, 3, 7, 8, 11), (0, 21), (23,), (4, 7, 11, 17, 20), (0, 7, 8, 19)],
)
def test_few_label_ids_are_no_train_ids(tmp_path: Path, ids: tuple[int, ...]) -> None:
    """Coarse labels and dull scenes hold few classes."""
    for path in scenes(tmp_path / "data/cityscapes", 4):
        save(np.array(ids, np.uint8)[np.arange(32 * 64).reshape(32, 64) * len(ids) // (32 * 64)], path)
    store = open_store(load("cityscapes", "train", tmp_path / "data"), tmp_path / "cache")
    assert set(np.unique(store.labels(0))) == {cityscapes.TO_TRAIN_ID[i] for i in ids}


@pytest.mark.parametrize("factor", [0.5, 2])
@pytest.mark.parametrize("how", [cv2.INTER_NEAREST, cv2.INTER_LINEAR])
def test_interpolated_label_ids_are_found(tmp_path: Path, how: int, factor: float) -> None:
    """By the ids as stored, most of which are void between two classes; ids of the nearest pixel are left alone."""
    home = tmp_path / "cityscapes"
    for path in scenes(home, 4):
        with Image.open(path) as image:
            ids = np.kron(np.array(image), np.ones((3, 3), np.uint8))
        ids = np.asarray(cv2.resize(ids, None, fx=factor, fy=factor, interpolation=how), np.uint8)
        picture = home / "leftImg8bit/train/aachen" / path.name.replace("gtFine_labelIds", "leftImg8bit")
        save(noise(int(ids[0, 0]), *ids.shape, 3), picture)
        save(ids, path)
    (line,) = [line for line in check("cityscapes", tmp_path).lines if line.name == "train"]
    found = [fault for fault in line.faults if "have rims of classes" in fault]
    assert len(found) == (how == cv2.INTER_LINEAR)


def test_what_a_mac_leaves_behind_is_passed_over(tmp_path: Path) -> None:
    """In the folders of images and of labels, and as a city of its own."""
    home = make_cityscapes(tmp_path)
    for folder in ("leftImg8bit/train/aachen", "gtFine/train/aachen", "leftImg8bit/train/._bochum"):
        (home / folder).mkdir(exist_ok=True)
        for suffix in ("leftImg8bit", "gtFine_labelIds"):
            (home / folder / f"._aachen_0_1_{suffix}.png").write_bytes(b"junk")
            (home / folder / f"x_{suffix}.png~").write_bytes(b"junk")
    assert load("cityscapes", "train", tmp_path).ids == ("aachen_0_1", "bochum_0_2")


def test_a_frame_in_two_cities_is_refused(tmp_path: Path) -> None:
    """Two files of one name."""
    home = make_cityscapes(tmp_path)
    save(noise(1, 16, 32, 3), home / "leftImg8bit/train/bochum/aachen_0_1_leftImg8bit.png")
    with pytest.raises(DataError, match="are two files of one frame"):
        load("cityscapes", "train", tmp_path)
