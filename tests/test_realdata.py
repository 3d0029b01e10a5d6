"""Every loader on real files, where REPRO_DATA names a folder of them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from repro.config import dataset_info
from repro.data import coco, load, voc
from repro.data.cache import open_store
from repro.data.io import list_folder, ordered, plain_table, read_ids, read_list, translate
from repro.data.palette import VOC_PALETTE, Coding
from repro.data.shares import Published, faults, look
from repro.data.verify import check
from tests.support.coco_reference import pycocotools_labels
from tests.support.data_files import read_palette

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # pycocotools' own
]


def test_voc_pairs(real_data: Path, cache: Path) -> None:
    """49 pairs: masks of 21 classes and void at their images' size, with the kit's palette; the store equals them."""
    data = load("voc", "train", real_data)
    assert len(data) == 49
    store = open_store(data, cache)
    seen: set[int] = set()
    for i in range(len(data)):
        image, mask = data.sources(i)
        stored = np.asarray(Image.open(mask))
        assert np.array_equal(store.labels(i), stored)
        assert np.array_equal(store.image(i), np.asarray(Image.open(image).convert("RGB")))
        assert read_palette(mask) == VOC_PALETTE
        seen |= set(np.unique(stored).tolist())
    assert seen == {*range(21), 255}


def test_augmented_masks(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """12,031 masks of ids only: 10,582 in trainaug, 1,449 (VOC val) beside it; 2,913 carry void, VOC's own."""
    home = real_data / "VOCdevkit/VOC2012"
    listed = set(read_list(home / "ImageSets/Segmentation/trainaug.txt"))
    masks = list_folder(home / "SegmentationClassAug")
    assert len(listed) == dataset_info.get("voc").images["trainaug"]
    assert len(masks) == 12_031
    assert listed < set(masks)
    assert len(set(masks) - listed) == dataset_info.get("voc").images["val"]
    paths, lut = list(masks.values()), plain_table(21)
    monkeypatch.delattr(Coding, "readings")  # every palette is the published one: no entry is translated
    void = list(ordered(lambda i: bool((translate(read_ids(paths[i]), lut, paths[i]) == 255).any()), len(paths)))
    assert sum(void) == 2913


def test_assembled_list(real_data: Path, tmp_path: Path) -> None:
    """With VOC's val list in place (the masks beside trainaug), the loader finds zero overlap among 10,582."""
    home = real_data / "VOCdevkit/VOC2012"
    listed = read_list(home / "ImageSets/Segmentation/trainaug.txt")
    beside = sorted(set(list_folder(home / "SegmentationClassAug")) - set(listed))
    mine = tmp_path / "ImageSets/Segmentation"
    mine.mkdir(parents=True)
    (mine / "val.txt").write_text("\n".join(beside))
    voc.refuse_val(listed, tmp_path, "trainaug.txt")
    with pytest.raises(ValueError, match=r"holds 1 of VOC val's images"):
        voc.refuse_val((*listed, beside[0]), tmp_path, "trainaug.txt")


def test_coco_masks_are_pycocotools(real_data: Path, cache: Path) -> None:
    """Of 100 images the ones with any of the 20 classes, each mask as pycocotools' own reader draws it."""
    checked = 0
    for split in ("train", "val"):
        data = load("coco", split, real_data)
        path = data.sources(0)[1]
        with contextlib.redirect_stdout(io.StringIO()):
            api = COCO(str(path))
        assert len(api.imgs) == 50
        wanted = api.getCatIds(catNms=list(coco.NAMES))
        holding = {i for category in wanted for i in api.getImgIds(catIds=[category])}
        assert {int(name) for name in data.ids} == holding
        store = open_store(data, cache)
        for i, name in enumerate(data.ids):
            assert np.array_equal(store.labels(i), pycocotools_labels(path, int(name))), name
            checked += 1
    assert checked == 77


def test_imagenet_images(real_data: Path, cache: Path) -> None:
    """500 images of 500 classes; each class is the line of its wnid in the list of 1,000."""
    data = load("imagenet", "val", real_data)
    store = open_store(data, cache)
    rows = [line.split("\t") for line in (real_data / "imagenet/labels.tsv").read_text().splitlines()]
    assert len(data) == 500
    assert len(data.classes) == 1000
    for i, name in enumerate(data.ids):
        index = int(store.labels(i))
        assert rows[index][1] == name.split("/")[0]
        assert min(store.image(i).shape[:2]) == 256
    assert len({int(store.labels(i)) for i in range(500)}) == 500


def test_camvid_pairs(real_data: Path, cache: Path) -> None:
    """367 + 101 pairs of 360 x 480; 11 is void; every class is there."""
    assert len(load("camvid", "train", real_data)) == 367
    data = load("camvid", "trainval", real_data)
    store = open_store(data, cache)
    assert len(store) == 468
    assert {tuple(size) for size in store.sizes.tolist()} == {(360, 480)}
    seen: set[int] = set()
    for i in range(0, len(data), 10):
        stored = np.asarray(Image.open(data.sources(i)[1]))
        assert np.array_equal(store.labels(i), np.where(stored == 11, 255, stored))
        seen |= set(np.unique(store.labels(i)).tolist())
    assert seen == {*range(11), 255}


@pytest.mark.parametrize(
    ("dataset", "split", "fingerprint"),
    [
        ("camvid", "train", "34e31d55eb60d1ce"), ("camvid", "val", "a1fad2820577c1e6"),
        ("camvid_half", "train", "56bd4bb6a63b9d0f"), ("camvid_half", "val", "e62e730be3be5650"),
    ],
)  # fmt: skip
def test_fingerprints_of_the_reference_records(
    real_data: Path, cache: Path, dataset: str, split: str, fingerprint: str
) -> None:
    """Sound data read as when the records were made."""
    assert open_store(load(dataset, split, real_data), cache).fingerprint.startswith(fingerprint)


def test_published_pixels(real_data: Path) -> None:
    """CamVid's and VOC's val as they lie here; in a whole split no class is off, and nothing is shifted or blurred."""
    home = real_data / "VOCdevkit/VOC2012"
    listed = set(read_list(home / "ImageSets/Segmentation/trainaug.txt"))
    val = [path for name, path in list_folder(home / "SegmentationClassAug").items() if name not in listed]
    looks = list(ordered(lambda i: look(val[i].stem, read_ids(val[i]), 21), len(val)))
    assert sum(one.pixels for one in looks).tolist() == list(dataset_info.get("voc").pixels["val"])
    table = Published(dataset_info.get("voc").pixels["val"], scenes=False)
    assert list(faults(looks, dataset_info.get("voc").classes, table, whole=True)) == []
    assert list(faults(looks[:40], dataset_info.get("voc").classes, table, whole=False)) == []


def test_check_on_real_files(real_data: Path) -> None:
    """CamVid without its test split: what is there is as published, what is missing is named."""
    report = check("camvid", real_data)
    found = {line.name: (line.found, line.verdict) for line in report.lines}
    assert found["train"] == (367, "as published")
    assert found["val"] == (101, "as published")
    assert found["trainval"] == (468, "as published")
    assert len(report.faults) == 1
    assert "test is missing" in report.faults[0]
