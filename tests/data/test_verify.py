"""What `repro data check` sees: counts beside the published ones, and every fault by its path."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress

from repro.cli import data
from repro.config import dataset_info
from repro.config.errors import DataError
from repro.data import coco
from repro.data.verify import Report, check
from tests.support.data_files import (
    add_augmented,
    make_camvid,
    make_cityscapes,
    make_coco,
    make_voc,
    noise,
    save,
    save_mask,
    voc_mask,
)


def lines(report: Report) -> dict[str, tuple[int | None, int | None, str]]:
    """Return found, expected and verdict of each line."""
    return {line.name: (line.found, line.expected, line.verdict) for line in report.lines}


def test_counts_stand_beside_the_papers(tmp_path: Path) -> None:
    """A small VOC is whole, but it is not the paper's."""
    add_augmented(make_voc(tmp_path))
    report = check("voc", tmp_path)
    assert lines(report) == {
        "train": (2, 1464, "differs"),
        "val": (1, 1449, "differs"),
        "trainval": (3, 2913, "differs"),
        "test": (1, 1456, "differs"),
        "trainaug": (4, 10_582, "differs"),
        "trainaug also in val": (0, 0, "as published"),
    }
    assert report.faults == ()
    assert not report.ok


def counted(monkeypatch: pytest.MonkeyPatch, name: str, images: Mapping[str, int | None]) -> None:
    """Give a data set these splits with these published numbers of images, and no published pixels of theirs."""
    info = dataset_info.get(name)
    elsewhere = {f"real {split}": pixels for split, pixels in info.pixels.items()}
    monkeypatch.setitem(dataset_info.DATASETS, name, replace(info, images=images, pixels=elsewhere))


def test_a_whole_data_set_is_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every count agrees and every image is good."""
    make_camvid(tmp_path)
    counted(monkeypatch, "camvid", {"train": 2, "val": 1, "test": 1, "trainval": None})
    report = check("camvid", tmp_path)
    assert report.ok
    assert lines(report)["trainval"] == (3, None, "complete")


def test_every_fault_is_named(tmp_path: Path) -> None:
    """Not the first one only: all of them, by path, over all splits; good images count on."""
    home = make_voc(tmp_path)
    bad = voc_mask(0)
    bad[3, 3] = 99
    save_mask(bad, home / "SegmentationClass/a.png")
    (home / "JPEGImages/b.jpg").write_bytes(b"")
    save_mask(noise(0, 3, 3, top=21), home / "SegmentationClass/c.png")
    report = check("voc", tmp_path, workers=2)
    assert len(report.faults) == 4
    text = " | ".join(report.faults)
    assert f"{home / 'SegmentationClass/a.png'} holds label 99" in text
    assert f"{home / 'JPEGImages/b.jpg'} cannot be read" in text
    assert f"{home / 'SegmentationClass/c.png'} is 3x3" in text
    assert "voc/trainaug needs" in text
    assert lines(report)["train"] == (2, 1464, "faulty")
    assert lines(report)["trainaug"] == (None, 10_582, "absent")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
@pytest.mark.parametrize("text", ["{", '{"images": []}', "[]"])
def test_a_split_that_is_refused_is_not_absent(tmp_path: Path, text: str) -> None:
    """COCO with a damaged file of one split: its other one is good, and the data set is not."""
    names = {i + 1: name for i, name in enumerate(coco.NAMES)}
    one = {"image_id": 1, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]}
    home = make_coco(tmp_path, names, {"train": [one], "val": [one]}, "2014")
    (home / "annotations/instances_train2014.json").write_text(text)
    report = check("coco", tmp_path)
    assert lines(report) == {
        "train": (None, None, "refused"),
        "val": (1, None, "complete"),
        "trainval": (None, 99_310, "refused"),
    }
    assert not report.ok
    assert len(report.faults) == 1  # train and trainval have the same one


def test_absent_splits_leave_a_data_set_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CamVid's test split is a download of its own; its images without their masks are a fault."""
    home = make_camvid(tmp_path)
    counted(monkeypatch, "camvid", dict.fromkeys(("train", "val", "test", "trainval")))
    for folder in ("test", "testannot"):
        (home / folder).rename(tmp_path / folder)
    report = check("camvid", tmp_path)
    assert lines(report)["test"] == (None, None, "absent")
    assert report.ok
    (tmp_path / "test").rename(home / "test")
    report = check("camvid", tmp_path)
    assert lines(report)["test"] == (None, None, "refused")
    assert not report.ok


def test_one_bar_a_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one an image; it ends at the number of images."""
    make_camvid(tmp_path)
    bars: list[Progress] = []

    class Watched(Progress):
        def stop(self) -> None:
            bars.append(self)
            super().stop()

    monkeypatch.setattr(data, "Progress", Watched)
    data.check_dataset(Console(file=io.StringIO(), force_terminal=True), "camvid", tmp_path, as_json=False)
    assert [(t.description, t.completed, t.total) for t in bars[0].tasks] == [
        ("train", 2, 2), ("val", 1, 1), ("test", 1, 1),
    ]  # fmt: skip


def test_progress_is_told(tmp_path: Path) -> None:
    """Image by image, split by split."""
    make_camvid(tmp_path)
    told: list[tuple[str, int, int]] = []
    check("camvid", tmp_path, lambda *words: told.append(words))
    assert told == [("train", 1, 2), ("train", 2, 2), ("val", 1, 1), ("test", 1, 1)]


def test_joint_counts_of_the_paper(tmp_path: Path) -> None:
    """22,973 of Cityscapes; 109,892 of COCO with VOC and SBD."""
    make_cityscapes(tmp_path)
    assert lines(check("cityscapes", tmp_path))["train + train_extra"] == (3, 22_973, "differs")
    names = {i + 1: name for i, name in enumerate(coco.NAMES)}
    one = {"image_id": 1, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]}
    make_coco(tmp_path, names, {"train": [one], "val": [one, one | {"image_id": 2}]}, "2014")
    assert lines(check("coco", tmp_path))["trainval + voc trainaug"] == (None, 109_892, "absent")
    add_augmented(make_voc(tmp_path))
    assert lines(check("coco", tmp_path))["trainval + voc trainaug"] == (7, 109_892, "differs")
    for name in ("coco", "cityscapes"):
        for joint in dataset_info.get(name).joint:
            assert sum(dataset_info.images(*part) or 0 for part in joint.parts) == joint.images


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    """A root without the data set has nothing to check."""
    with pytest.raises(DataError, match="CamVid is not in data root"):
        check("camvid", tmp_path)


def test_a_mask_of_colours_is_a_fault(tmp_path: Path) -> None:
    """As everywhere else."""
    path = make_camvid(tmp_path) / "valannot/val0.png"
    save(np.zeros((9, 12, 3), np.uint8), path)
    assert any(f"mask {path} holds colours" in fault for fault in check("camvid", tmp_path).faults)


def test_the_generated_set_is_checked_without_a_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """`shapes` has no published counts: complete."""
    counted(monkeypatch, "shapes", {"val": 256})
    assert check("shapes").ok
