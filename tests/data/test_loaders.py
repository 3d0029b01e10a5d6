"""What every loader of files must do, one test a promise, over all of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from repro.config import dataset_info
from repro.config.errors import DataError
from repro.data import Dataset, coco, load
from repro.data.cache import open_store
from tests.support.data_files import (
    add_augmented,
    add_sbd,
    make_camvid,
    make_cityscapes,
    make_coco,
    make_imagenet,
    make_voc,
    square,
)


@dataclass(frozen=True)
class Loader:
    """A data set with a small root of its own, and one of its labelled splits."""

    dataset: str
    split: str
    make: Callable[[Path], object]


def _sbd(root: Path) -> None:
    make_voc(root)
    add_sbd(root)


def _coco(root: Path) -> None:
    drawn = {"image_id": 1, "category_id": 1, "segmentation": square(2, 2, 12)}
    make_coco(root, dict(enumerate(coco.NAMES, 1)), {"train": [drawn], "val": [drawn]}, "2014")


LOADERS = [
    Loader("voc", "train", make_voc),
    Loader("voc", "trainaug", lambda root: add_augmented(make_voc(root))),
    Loader("voc", "trainaug", _sbd),
    Loader("camvid", "train", make_camvid),
    Loader("camvid_half", "train", make_camvid),
    Loader("cityscapes", "train", make_cityscapes),
    Loader("cityscapes", "train_extra", make_cityscapes),
    Loader("coco", "trainval", _coco),
    Loader("imagenet", "val", make_imagenet),
]
EVERY = pytest.mark.parametrize("loader", LOADERS, ids=lambda loader: f"{loader.dataset}-{loader.split}")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own


def opened(loader: Loader, root: Path) -> Dataset:
    """Make a loader's root and load its split."""
    root.mkdir(exist_ok=True)
    loader.make(root)
    return load(loader.dataset, loader.split, root)


def test_every_loader_is_here() -> None:
    """But the generated one, which reads no file."""
    assert {loader.dataset for loader in LOADERS} == set(dataset_info.DATASETS) - {"shapes"}


@EVERY
def test_images_and_labels_are_what_they_should_be(loader: Loader, tmp_path: Path) -> None:
    """Types and shapes; every label a class or void; names once each; files below the root that exist."""
    data = opened(loader, tmp_path)
    assert loader.split in dataset_info.get(loader.dataset).images
    assert data.split == loader.split
    assert data.root == tmp_path
    assert len(set(data.ids)) == len(data) > 0
    for i in range(len(data)):
        image, labels = data.read(i)
        assert image.dtype == np.uint8
        assert image.shape[2:] == (3,)
        if data.kind == "segmentation":
            assert labels.dtype == np.uint8
            assert labels.shape == image.shape[:2]
            assert set(np.unique(labels)) <= {*range(len(data.classes)), 255}
            assert len(data.palette) == len(data.classes)
        else:
            assert 0 <= labels < len(data.classes)
        assert data.sources(i)
        assert all(path.is_relative_to(tmp_path) and path.is_file() for path in data.sources(i))
    assert all(path.is_file() for path in data.lists)


@EVERY
def test_the_version_is_in_the_stamps_and_not_in_the_fingerprint(
    loader: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stores that an older reader wrote are decoded again; the content has its name by itself."""
    first = open_store(opened(loader, tmp_path / "data"), tmp_path / "cache")
    before = first.folder.stat().st_ino
    other = replace(dataset_info.get(loader.dataset), version="another")
    monkeypatch.setitem(dataset_info.DATASETS, loader.dataset, other)
    second = open_store(load(loader.dataset, loader.split, tmp_path / "data"), tmp_path / "cache")
    assert second.folder.stat().st_ino != before
    assert second.fingerprint == first.fingerprint


@EVERY
def test_what_desktops_leave_behind_changes_nothing(loader: Loader, tmp_path: Path) -> None:
    """In every folder of the root."""
    before = opened(loader, tmp_path)
    for folder in [path for path in tmp_path.rglob("*") if path.is_dir()]:
        for path in [p for p in folder.iterdir() if p.is_file()][:2]:
            shutil.copy(path, folder / f"._{path.name}")
            shutil.copy(path, folder / f"{path.name}~")
        for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
            (folder / name).write_bytes(b"junk")
    after = load(loader.dataset, loader.split, tmp_path)
    assert after.ids == before.ids
    assert [after.sources(i) for i in range(len(after))] == [before.sources(i) for i in range(len(before))]


@EVERY
@pytest.mark.parametrize("part", [0, 1])
def test_a_file_that_is_cut_short_is_named(loader: Loader, tmp_path: Path, part: int) -> None:
    """Image or mask: when it is read, in one sentence with its path."""
    data = opened(loader, tmp_path)
    if part >= len(data.sources(0)) or data.sources(0)[part].suffix == ".json":
        pytest.skip("no mask file of its own")
    path = data.sources(0)[part]
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match=path.name):
        data.read(0)


@EVERY
def test_a_lossy_mask_is_refused(loader: Loader, tmp_path: Path) -> None:
    """Under the name that a mask has."""
    data = opened(loader, tmp_path)
    mask = data.sources(0)[-1]
    if len(data.sources(0)) < 2 or mask.suffix != ".png":
        pytest.skip("its labels are no picture")
    from PIL import Image

    with Image.open(mask) as image:
        labels = np.array(image)
    Image.fromarray(labels).save(mask, "JPEG")
    with pytest.raises(DataError, match="is a JPEG file by its content"):
        load(loader.dataset, loader.split, tmp_path).read(0)


@EVERY
def test_two_images_of_one_name_are_refused(loader: Loader, tmp_path: Path) -> None:
    """One under another ending; Cityscapes reads PNG alone, and passes it over."""
    image = opened(loader, tmp_path).sources(0)[0]
    shutil.copy(image, image.with_suffix(".bmp"))
    if loader.dataset == "cityscapes":
        assert load(loader.dataset, loader.split, tmp_path).sources(0)[0] == image
        return
    with pytest.raises(DataError, match="two files of one name"):
        load(loader.dataset, loader.split, tmp_path)
