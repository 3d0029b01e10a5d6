"""Cityscapes' label ids and train ids, against cityscapesscripts and a slow loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cityscapesscripts.helpers.labels import id2label, trainId2label
from data_files import LABEL_IDS, make_cityscapes, noise, save

from repro.data import DataError, cityscapes, load

TRAINED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def test_table_agrees_with_cityscapesscripts() -> None:
    """The 19 classes are the ones that the paper trains, in cityscapesscripts' order; the other ids are void."""
    assert tuple(cityscapes.TO_LABEL_ID[i] for i in range(19)) == TRAINED
    assert tuple(trainId2label[i].name for i in range(19)) == cityscapes.CLASSES
    assert tuple(trainId2label[i].color for i in range(19)) == cityscapes.PALETTE
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
    mix = load("cityscapes+cityscapes", "train_extra+train", tmp_path)
    assert len(mix) == 3


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
    assert cityscapes.COUNTS == {"train": 2975, "val": 500, "test": 1525, "train_extra": 19_998}
    assert cityscapes.COUNTS["train"] + cityscapes.COUNTS["train_extra"] == 22_973
