"""What `repro data check` sees: counts beside the published ones, and every fault by its path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_files import (
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

from repro.data import DataError, camvid, cityscapes, coco, voc
from repro.data.check import Report, check


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


def test_a_whole_data_set_is_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every count agrees and every image is good."""
    make_camvid(tmp_path)
    monkeypatch.setattr(camvid, "COUNTS", {"train": 2, "val": 1, "test": 1})
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
    assert coco.COUNTS["trainval"] + voc.COUNTS["trainaug"] == 109_892
    assert cityscapes.COUNTS["train"] + cityscapes.COUNTS["train_extra"] == 22_973


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
    from repro.data import generated

    monkeypatch.setattr(generated, "SPLITS", ("val",))
    assert check("shapes").ok
