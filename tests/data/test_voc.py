"""VOC 2012 with SBD's augmentation, on small files of its layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from repro.config import dataset_info
from repro.config.dataset_info import voc_colour
from repro.config.errors import DataError
from repro.data import load, voc
from repro.data.palette import VOC_PALETTE, write_palette_png
from tests.support.data_files import (
    add_augmented,
    add_sbd,
    make_voc,
    noise,
    read_palette,
    save,
    save_mask,
    voc_mask,
    write_list,
)

COLOURS = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128)}


def test_colours_are_those_of_the_development_kit() -> None:
    """Known classes have their printed colours, void is (224, 224, 192), and no two are alike."""
    assert {i: voc_colour(i) for i in COLOURS} == COLOURS
    assert voc_colour(255) == (224, 224, 192)
    assert len(set(VOC_PALETTE)) == 256


def test_palette_files_read_back(tmp_path: Path) -> None:
    """Every value of a byte survives, and the file carries the palette."""
    labels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    write_palette_png(labels, tmp_path / "x.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "x.png")), labels)
    assert read_palette(tmp_path / "x.png") == VOC_PALETTE


def test_pairs_are_read_as_written(tmp_path: Path) -> None:
    """Ids in the order of the list, masks exact, images as Pillow decodes them, names of 21 classes."""
    home = make_voc(tmp_path)
    data = load("voc", "trainval", tmp_path)
    assert data.ids == ("a", "b", "c")
    for i, name in enumerate(data.ids):
        image, labels = data.read(i)
        assert np.array_equal(image, np.asarray(Image.open(home / "JPEGImages" / f"{name}.jpg")))
        assert np.array_equal(labels, voc_mask(i))
        assert image.dtype == labels.dtype == np.uint8
    assert data.sources(0) == (home / "JPEGImages/a.jpg", home / "SegmentationClass/a.png")
    assert len(data.classes) == len(data.palette) == 21


@pytest.mark.parametrize("root", [".", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_the_root_may_be_the_folder_itself(tmp_path: Path, root: str) -> None:
    """The data root, the kit's folder and VOC2012 itself all work."""
    make_voc(tmp_path)
    assert load("voc", "train", tmp_path / root).ids == ("a", "b")


def test_the_test_split_is_all_void(tmp_path: Path) -> None:
    """The test server keeps the labels: nothing there can be scored by accident."""
    make_voc(tmp_path)
    data = load("voc", "test", tmp_path)
    assert not data.labelled
    assert (data.read(0)[1] == 255).all()
    assert len(data.sources(0)) == 1


def test_augmented_masks(tmp_path: Path) -> None:
    """The split trainaug follows its list and reads the augmented masks."""
    add_augmented(make_voc(tmp_path))
    data = load("voc", "trainaug", tmp_path)
    assert data.ids == tuple("abef")
    assert np.array_equal(data.read(2)[1], voc_mask(4))


def test_sbd_release_is_assembled(tmp_path: Path) -> None:
    """VOC train + SBD train and val - VOC val; VOC's own mask where it has one; SBD's from the .mat."""
    make_voc(tmp_path)
    add_sbd(tmp_path)
    data = load("voc", "trainaug", tmp_path)
    assert data.ids == tuple("abef")
    assert np.array_equal(data.read(0)[1], voc_mask(0))
    truth = voc_mask(4)
    assert np.array_equal(data.read(2)[1], np.where(truth == 255, 0, truth))


def test_sbd_images_stand_in(tmp_path: Path) -> None:
    """An image that JPEGImages lacks is taken from SBD's own img folder."""
    home = make_voc(tmp_path)
    sbd = add_sbd(tmp_path)
    (sbd / "img").mkdir()
    (home / "JPEGImages/e.jpg").rename(sbd / "img/e.jpg")
    data = load("voc", "trainaug", tmp_path)
    assert data.sources(2)[0] == sbd / "img/e.jpg"


def test_a_val_image_in_the_training_list_is_refused(tmp_path: Path) -> None:
    """It is named: a score on val would mean nothing."""
    home = make_voc(tmp_path)
    add_augmented(home)
    write_list(home, "trainaug", list("abcef"))
    with pytest.raises(DataError, match=r"trainaug.txt holds 1 of VOC val's images, the first is c"):
        load("voc", "trainaug", tmp_path)


@pytest.mark.parametrize("split", ["train", "trainaug"])
def test_a_val_image_in_vocs_own_training_list_is_refused(tmp_path: Path, split: str) -> None:
    """Stage-3 trains on that list, and SBD's release is joined to it: neither drops the image in silence."""
    home = make_voc(tmp_path)
    add_sbd(tmp_path)
    write_list(home, "train", list("abc"))
    with pytest.raises(DataError, match=r"Segmentation/train.txt holds 1 of VOC val's images, the first is c"):
        load("voc", split, tmp_path)


def test_train_without_the_val_list(tmp_path: Path) -> None:
    """A root of VOC's training images alone can be read."""
    (make_voc(tmp_path) / "ImageSets/Segmentation/val.txt").unlink()
    assert load("voc", "train", tmp_path).ids == ("a", "b")


def test_trainaug_without_the_val_list_is_refused(tmp_path: Path) -> None:
    """Without val.txt nobody can show that no val image is trained on."""
    home = make_voc(tmp_path)
    add_augmented(home)
    (home / "ImageSets/Segmentation/val.txt").unlink()
    with pytest.raises(DataError, match=r"split file .*val\.txt cannot be read"):
        load("voc", "trainaug", tmp_path)


def test_trainaug_without_any_augmentation_is_refused(tmp_path: Path) -> None:
    """The sentence names both forms in which it may come."""
    make_voc(tmp_path)
    with pytest.raises(DataError, match=r"needs .*SegmentationClassAug with .*trainaug\.txt, or SBD's release"):
        load("voc", "trainaug", tmp_path)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("ImageSets/Segmentation/train.txt", r"split file .*train\.txt cannot be read"),
        ("JPEGImages/b.jpg", r"the image of b is missing in .*JPEGImages"),
        ("SegmentationClass/b.png", r"the mask of b is missing in .*SegmentationClass"),
    ],
)
def test_missing_files_are_named(tmp_path: Path, path: str, words: str) -> None:
    """A missing list, image or mask is said when the split is loaded, not in the middle of a run."""
    (make_voc(tmp_path) / path).unlink()
    with pytest.raises(DataError, match=words):
        load("voc", "train", tmp_path)


def test_missing_folders_are_named(tmp_path: Path) -> None:
    """A missing folder is named."""
    home = make_voc(tmp_path)
    (home / "JPEGImages").rename(home / "Images")
    with pytest.raises(DataError, match=r"folder .*JPEGImages cannot be read"):
        load("voc", "train", tmp_path)


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    """A split file without a name is not an empty split."""
    write_list(make_voc(tmp_path), "train", [])
    with pytest.raises(DataError, match=r"train\.txt is empty"):
        load("voc", "train", tmp_path)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    """Both files and both sizes are named."""
    home = make_voc(tmp_path)
    save_mask(noise(0, 12, 15, top=21), home / "SegmentationClass/a.png")
    with pytest.raises(DataError, match=r"a\.png is 12x15 but its image .*a\.jpg is 12x16"):
        load("voc", "train", tmp_path).read(0)


@pytest.mark.parametrize("label", [21, 254])
def test_a_label_outside_the_classes_is_refused(tmp_path: Path, label: int) -> None:
    """The first label that is neither a class nor void is named."""
    home = make_voc(tmp_path)
    mask = voc_mask(0)
    mask[5, 5] = label
    save_mask(mask, home / "SegmentationClass/a.png")
    with pytest.raises(DataError, match=rf"a\.png holds label {label}, which is outside the classes"):
        load("voc", "train", tmp_path).read(0)


def test_a_mask_of_colours_is_refused(tmp_path: Path) -> None:
    """An RGB mask has colours where ids are expected."""
    home = make_voc(tmp_path)
    save(np.array(VOC_PALETTE, np.uint8)[voc_mask(0)], home / "SegmentationClass/a.png")
    with pytest.raises(DataError, match=r"a\.png holds colours \(mode RGB\) instead of class ids"):
        load("voc", "train", tmp_path).read(0)


@pytest.mark.parametrize("path", ["JPEGImages/a.jpg", "SegmentationClass/a.png"])
@pytest.mark.parametrize("keep", [0, 60])
def test_an_unreadable_file_is_named(tmp_path: Path, path: str, keep: int) -> None:
    """A file cut short, even to nothing, is named by its path."""
    file = make_voc(tmp_path) / path
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=rf"image {file} cannot be read"):
        load("voc", "train", tmp_path).read(0)


def test_a_damaged_mat_file_is_named(tmp_path: Path) -> None:
    """SBD's files are named too."""
    make_voc(tmp_path)
    file = add_sbd(tmp_path) / "cls/e.mat"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match=rf"mask {file} cannot be read"):
        load("voc", "trainaug", tmp_path).read(2)


def test_counts_are_the_papers() -> None:
    """Section 4 prints these."""
    assert dataset_info.get("voc").images == {
        "train": 1464,
        "val": 1449,
        "trainval": 2913,
        "test": 1456,
        "trainaug": 10_582,
    }


@pytest.mark.parametrize("value", [5.7, 261, -1, float("nan"), float("inf"), 1e300, 2j])
def test_a_mat_file_with_values_that_are_no_ids_is_refused(tmp_path: Path, value: complex) -> None:
    """They would be cut to another class: 5.7 to 5, 261 to 5."""
    make_voc(tmp_path)
    file = add_sbd(tmp_path) / "cls/e.mat"
    mask = np.zeros((12, 16), type(value))
    mask[3, 4] = value
    savemat(file, {"GTcls": {"Segmentation": mask}})
    with pytest.raises(
        DataError, match=rf"mask {file} cannot be read \(it(s Segmentation is complex128| holds the value)"
    ):
        load("voc", "trainaug", tmp_path).read(2)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
def test_a_mat_file_of_whole_numbers_is_read(tmp_path: Path, kind: type) -> None:
    """Of whatever type; one row is a mask too."""
    file = tmp_path / "e.mat"
    for mask in (voc_mask(4), voc_mask(4)[:1]):
        savemat(file, {"GTcls": {"Segmentation": mask.astype(kind)}})
        assert np.array_equal(voc.read_mat(file), mask)


def test_sbd_masks_as_png_are_read(tmp_path: Path) -> None:
    """Converted copies of the release; a .mat beside one of them is refused."""
    make_voc(tmp_path)
    folder = add_sbd(tmp_path) / "cls"
    (folder / "e.mat").unlink()
    save_mask(voc_mask(4), folder / "e.png")
    assert np.array_equal(load("voc", "trainaug", tmp_path).read(2)[1], voc_mask(4))
    (folder / "e.mat").write_bytes(b"")
    with pytest.raises(DataError, match=r"cls holds e\.mat and e\.png, two files of one name"):
        load("voc", "trainaug", tmp_path)
