"""COCO's instances as VOC's classes, against pycocotools and squares drawn by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as rle

from repro.config.errors import DataError
from repro.data import coco, load
from repro.data.dataset import Dataset
from repro.data.verify import check
from tests.support.coco_reference import pycocotools_labels
from tests.support.data_files import make_coco, square

NAMES = {i + 1: name for i, name in enumerate(coco.NAMES)} | {90: "toothbrush"}


IDS = {name: i for i, name in NAMES.items()}


CROWD = {"counts": [410, *([5, 15] * 4), 5, 105], "size": [20, 30]}
"""Run lengths, down the columns, of the square of rows 10 to 14 and columns 20 to 24."""


pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own


def drawn(image: int, name: str, left: int = 2, top: int = 3, side: int = 8, **more: object) -> dict[str, Any]:
    """Return an annotation of a square."""
    return {"image_id": image, "category_id": IDS[name], "segmentation": square(left, top, side), **more}


def read(data: Dataset, name: str) -> NDArray[np.uint8]:
    """Return the labels of one image."""
    labels: NDArray[np.uint8] = data.read(data.ids.index(name))[1]
    return labels


def test_twenty_classes_of_eighty() -> None:
    """Each of VOC's classes has one name in COCO, the six renamed ones too."""
    assert sorted(coco.NAMES.values()) == list(range(1, 21))
    assert coco.NAMES["couch"] == 18
    assert coco.NAMES["tv"] == 20
    assert coco.NAMES["person"] == 15


@pytest.mark.parametrize("year", ["2014", "2017"])
def test_overlaps_and_crowds_are_void(tmp_path: Path, year: str) -> None:
    """One instance: its class. Two: 255 where both lie. A crowd: 255. Other classes and the rest: background."""
    make_coco(
        tmp_path,
        NAMES,
        {
            "train": [
                drawn(1, "couch"),
                drawn(1, "person", 6, 6),
                drawn(1, "toothbrush", 20, 2, 4),
                drawn(1, "person", segmentation=CROWD, iscrowd=1),
                drawn(3, "toothbrush"),
            ]
        },
        year,
    )
    data = load("coco", "train", tmp_path)
    assert data.ids == ("00001",)
    labels = read(data, "00001")
    expected = np.zeros((20, 30), np.uint8)
    expected[3:11, 2:10] = 18
    expected[6:14, 6:14] = 15
    expected[6:11, 6:10] = 255
    expected[10:15, 20:25] = 255
    assert np.array_equal(labels, expected)
    path = tmp_path / f"coco/annotations/instances_train{year}.json"
    assert np.array_equal(labels, pycocotools_labels(path, 1))


def test_trainval_joins_both_splits(tmp_path: Path) -> None:
    """Train first, then val; 2014 where both years are there; sources name the image and its annotations."""
    home = make_coco(tmp_path, NAMES, {"train": [drawn(1, "cat")], "val": [drawn(2, "dog"), drawn(3, "tv")]}, "2014")
    data = load("coco", "trainval", tmp_path)
    assert data.ids == ("00001", "10002", "10003")
    assert data.sources(1) == (home / "val2014/10002.png", home / "annotations/instances_val2014.json")
    assert set(np.unique(read(data, "10003"))) == {0, 20}


def test_a_file_without_the_classes_is_refused(tmp_path: Path) -> None:
    """Annotations of something else would make every pixel background."""
    make_coco(tmp_path, {90: "toothbrush", 1: "person"}, {"train": [drawn(1, "person")]}, "2017")
    with pytest.raises(DataError, match=r"train2017\.json lacks 19 of the 20 classes of VOC \(aeroplane first"):
        load("coco", "train", tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    """A missing image, and a missing split, are named."""
    home = make_coco(tmp_path, NAMES, {"train": [drawn(1, "cat")]}, "2014")
    with pytest.raises(DataError, match=r"lacks annotations/instances_val2014\.json or instances_val2017\.json"):
        load("coco", "val", tmp_path)
    (home / "train2014/00001.png").unlink()
    with pytest.raises(DataError, match=r"the image of 00001 is missing in .*train2014"):
        load("coco", "train", tmp_path)


@pytest.mark.parametrize(("text", "words"), [("{", "cannot be read"), ('{"images": []}', "lack annotations, categ")])
def test_damaged_annotations_are_named(tmp_path: Path, text: str, words: str) -> None:
    """A file cut short, and one of another kind (captions), are named."""
    home = make_coco(tmp_path, NAMES, {"train": [drawn(1, "cat")]}, "2014")
    (home / "annotations/instances_train2014.json").write_text(text)
    with pytest.raises(DataError, match=rf"instances_train2014\.json {words}"):
        load("coco", "train", tmp_path)


@pytest.mark.parametrize(
    ("part", "field"),
    [("images", "file_name"), ("images", "height"), ("annotations", "category_id"), ("categories", "id")],
)
def test_annotations_of_another_layout_are_named(tmp_path: Path, part: str, field: str) -> None:
    """A field that is missing anywhere is said when the split is loaded."""
    home = make_coco(tmp_path, NAMES, {"train": [drawn(1, "cat")]}, "2014")
    path = home / "annotations/instances_train2014.json"
    content = json.loads(path.read_text())
    for entry in content[part]:
        del entry[field]
    path.write_text(json.dumps(content))
    with pytest.raises(
        DataError, match=rf"instances_train2014\.json are not laid out as COCO's \(KeyError: '{field}'\)"
    ):
        load("coco", "train", tmp_path)


def test_an_image_of_another_size_is_refused(tmp_path: Path) -> None:
    """An image resized after the fact does not fit its polygons."""
    home = make_coco(tmp_path, NAMES, {"train": [drawn(1, "cat")]}, "2014")
    path = home / "annotations/instances_train2014.json"
    path.write_text(path.read_text().replace('"height": 20', '"height": 21'))
    with pytest.raises(DataError, match=r"00001\.png is 20x30 but .* says 21x30"):
        load("coco", "train", tmp_path).read(0)


def test_no_image_with_the_classes(tmp_path: Path) -> None:
    """A split in which nothing is left says so."""
    make_coco(tmp_path, NAMES, {"train": [drawn(1, "toothbrush")]}, "2014")
    with pytest.raises(DataError, match="coco/train holds no images"):
        load("coco", "train", tmp_path)


BAD = [
    ([[float("nan"), 1, 9, 1, 9, 9]], "the coordinate nan lies outside its image of 20x30"),
    ([[1e9, 1, 9, 1, 9, 9]], r"the coordinate 1e\+09 lies outside"),
    ([[1, 1, 9, 1, 9, float("inf")]], "the coordinate inf lies outside"),
    ([[1, -50, 9, 1, 9, 9]], "the coordinate -50 lies outside"),
    ([[1, 1, 9, 1, 9, 23]], "the coordinate 23 lies outside"),
    ([[1, 1, 9, 1, 33, 9]], "the coordinate 33 lies outside"),
    ([[10**400, 1, 9, 1, 9, 9]], "a polygon does not hold numbers"),
    ([["a", 1, 9, 1, 9, 9]], "a polygon does not hold numbers"),
    ([[1, 1, 9, 1]], "a polygon has 4 numbers"),
    ([[1, 1, 9, 1, 9, 9, 1]], "a polygon has 7 numbers"),
    ([[]], "a polygon has 0 numbers"),
    ([], "it has no polygon"),
    ([1, 1, 9, 1, 9, 9], "a polygon has 1 numbers"),
    (None, "neither polygons nor run lengths"),
    ({"counts": [600]}, "neither polygons nor run lengths"),
    ({"counts": [1200], "size": [40, 30]}, r"its run lengths are for \[40, 30\], its image is \[20, 30\]"),
    ({"counts": [100000], "size": [20, 30]}, "its run lengths do not sum to the 600 pixels"),
    ({"counts": [700, -100], "size": [20, 30]}, "its run lengths do not sum"),
    ({"counts": [300.0, 300.0], "size": [20, 30]}, "its run lengths do not sum"),
    ({"counts": "oooooooooooo", "size": [20, 30]}, "its packed run lengths are damaged"),
    ({"counts": "1", "size": [20, 30]}, "its run lengths do not sum"),
    ({"counts": "o", "size": [20, 30]}, "its packed run lengths end within a run"),
    ({"counts": "\u00e9", "size": [20, 30]}, "its packed run lengths are damaged"),
]


@pytest.mark.parametrize(("segmentation", "words"), BAD)
def test_what_pycocotools_must_not_see_is_refused(tmp_path: Path, segmentation: object, words: str) -> None:
    """It would end the process or fill the memory; the annotation is named by its id."""
    one = drawn(1, "cat", segmentation=segmentation, id=77)
    make_coco(tmp_path, NAMES, {"train": [drawn(1, "dog"), one]}, "2014")
    with pytest.raises(DataError, match=rf"annotations of 00001 in .*cannot be drawn \(annotation 77: .*{words}"):
        load("coco", "train", tmp_path).read(0)
    assert any("annotation 77" in fault for fault in check("coco", tmp_path).faults)


@pytest.mark.parametrize("size", [1e9, 10**30, float("nan"), float("inf"), -1, "x"])
def test_a_size_that_no_picture_has_is_refused(tmp_path: Path, size: object) -> None:
    """Before anything of that size is made."""
    home = make_coco(tmp_path, NAMES, {"train": [drawn(1, "cat")]}, "2014")
    path = home / "annotations/instances_train2014.json"
    path.write_text(path.read_text().replace('"height": 20', f'"height": {json.dumps(size)}'))
    with pytest.raises(DataError, match=r"says .*x30 \(h x w\)|are not laid out as COCO's"):
        load("coco", "train", tmp_path).read(0)


def test_coordinates_on_the_edge_and_packed_runs_are_drawn(tmp_path: Path) -> None:
    """As pycocotools draws them: published polygons reach the image's far edge."""
    packed = rle.encode(np.asfortranarray(np.eye(20, 30, dtype=np.uint8)))
    runs = {"size": [20, 30], "counts": packed["counts"].decode()}
    edge = drawn(2, "dog", segmentation=[[0, 0, 30, 0, 30, 20, 0, 20]])
    make_coco(tmp_path, NAMES, {"train": [drawn(1, "cat", segmentation=runs), edge]}, "2014")
    data = load("coco", "train", tmp_path)
    assert np.array_equal(read(data, "00001") == coco.NAMES["cat"], np.eye(20, 30))
    assert (read(data, "00002") == coco.NAMES["dog"]).all()


def test_two_images_of_one_id_are_refused(tmp_path: Path) -> None:
    """Both would show the annotations of both."""
    home = make_coco(tmp_path, NAMES, {"train": [drawn(1, "cat")]}, "2014")
    path = home / "annotations/instances_train2014.json"
    path.write_text(path.read_text().replace('"id": 2, "file_name"', '"id": 1, "file_name"'))
    with pytest.raises(DataError, match=r"instances_train2014\.json have two images of id 1"):
        load("coco", "train", tmp_path)
