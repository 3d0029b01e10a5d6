"""Legal labels that are wrong: what `repro data check` sees in the maps of a split taken together."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from repro.config import dataset_info
from repro.data import load
from repro.data.cache import PIXELS, open_store
from repro.data.shares import Published, faults, look
from repro.data.verify import check
from tests.support.data_files import Bytes, make_voc, noise, save, save_mask, write_list

CLASSES = tuple("abcdefghijklmnopqrs")


def street(seed: int, height: int = 180, width: int = 240) -> Bytes:
    """Return a scene of bands and boxes, void as 11."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((height, width), np.uint8)
    edges = (np.cumsum([0, 0.2, 0.25, 0.1, 0.45]) * height).astype(int)
    for label, top, bottom in zip((0, 1, 5, 3), edges, edges[1:], strict=False):
        labels[top:bottom] = label
    for label, h, w in ((8, 25, 50), (9, 25, 8), (2, 90, 5), (7, 12, 60), (4, 15, 90), (11, 20, 40), (10, 15, 15)):
        top, left = rng.integers(height // 3, height - h), rng.integers(0, width - w)
        labels[top : top + h, left : left + w] = label
    return labels


def write_camvid(root: Path, masks: list[Bytes], split: str = "train") -> Path:
    """Write a split of CamVid with these masks as stored."""
    for i, mask in enumerate(masks):
        save(noise(100 + i, *mask.shape, 3), root / "camvid" / split / f"{split}{i}.png")
        save(mask, root / "camvid" / f"{split}annot" / f"{split}{i}.png")
    (root / "camvid/trainannot").mkdir(parents=True, exist_ok=True)
    return root


def resized(mask: Bytes, how: int, factor: float) -> Bytes:
    """Resize a map of labels by one of OpenCV's ways."""
    size = (round(mask.shape[1] * factor), round(mask.shape[0] * factor))
    return np.asarray(cv2.resize(mask, size, interpolation=how), np.uint8)


def said(root: Path, dataset: str = "camvid", split: str = "train") -> str:
    """Return the faults of a split, joined."""
    line = next(line for line in check(dataset, root).lines if line.name == split)
    return " | ".join(line.faults)


def test_good_masks_are_silent(tmp_path: Path) -> None:
    """Drawn scenes, halved by the nearest pixel or not."""
    masks = [street(i) for i in range(6)]
    assert said(write_camvid(tmp_path / "a", masks)) == ""
    halved = [resized(mask, cv2.INTER_NEAREST, 0.5) for mask in masks]
    assert said(write_camvid(tmp_path / "b", halved)) == ""


@pytest.mark.parametrize("factor", [0.5, 0.7, 1.5, 2.0])
@pytest.mark.parametrize("how", [cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC])
def test_interpolated_masks_are_found(tmp_path: Path, how: int, factor: float) -> None:
    """Between two classes lies a rim of others, whose ids are legal; even in one file of six."""
    if how == cv2.INTER_AREA and factor > 1:
        pytest.skip("OpenCV takes the nearest pixel there")
    masks = [street(i) for i in range(6)]
    masks[2] = np.minimum(resized(masks[2], how, factor), 11)
    assert "the labels of 1 image (train2 first) have rims of classes" in said(write_camvid(tmp_path, masks))


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("every", [1, 2])
def test_ids_shifted_by_one_are_found(tmp_path: Path, step: int, every: int) -> None:
    """With void at the other end every id is legal; all masks, or half of them."""
    masks = [street(i) for i in range(6)]
    masks = [((m.astype(int) + step) % 12).astype(np.uint8) if i % every == 0 else m for i, m in enumerate(masks)]
    text = said(write_camvid(tmp_path, masks))
    assert "fit the published shares of classes shifted by one" in text
    assert ("all 6 masks together" if every == 1 else "3 masks (train0 first)") in text


def test_voc_masks_shifted_by_one_are_found(tmp_path: Path) -> None:
    """Background as aeroplane; a single image of an aeroplane all over is none."""
    home = make_voc(tmp_path)
    plain = np.zeros((40, 60), np.uint8)
    plain[10:30, 10:40] = 12
    for name in "ab":
        save(noise(3, 40, 60, 3), home / f"JPEGImages/{name}.jpg")
        save_mask(plain, home / f"SegmentationClass/{name}.png")
    assert said(tmp_path, "voc") == ""
    save_mask(np.where(plain, plain, 1).astype(np.uint8), home / "SegmentationClass/a.png")
    assert said(tmp_path, "voc") == ""
    for name in "ab":
        save_mask((plain + 1).astype(np.uint8), home / f"SegmentationClass/{name}.png")
    assert "voc/train: the ids of all 2 masks together fit the published shares" in said(tmp_path, "voc")


def looks(pixels: NDArray[np.int64]) -> list[object]:
    """Return one look at labels with so many pixels of each class and void."""
    stored = np.repeat(np.array([*range(len(pixels) - 1), 255], np.uint8), pixels)
    return [look("x", stored[:, None].repeat(3, 1), len(pixels) - 1)]


def test_a_whole_split_has_the_published_shares() -> None:
    """A class that is off is named with both shares, beyond 5 % of its own; within that nothing is said."""
    table = Published(dataset_info.get("camvid").pixels["train"], scenes=True)
    pixels = np.round(table.shares * 1e6).astype(np.int64)
    assert not list(faults(looks(pixels), dataset_info.get("camvid").classes, table, whole=True))  # type: ignore[arg-type]
    pixels[2] = round(pixels[2] * 1.04)
    assert not list(faults(looks(pixels), dataset_info.get("camvid").classes, table, whole=True))  # type: ignore[arg-type]
    pixels[2] = round(pixels[2] * 1.3)
    (sentence,) = faults(looks(pixels), dataset_info.get("camvid").classes, table, whole=True)  # type: ignore[arg-type]
    assert sentence == "shares of pixels are not those published: pole 1.32 % instead of 0.98 %"
    assert not list(faults(looks(pixels), dataset_info.get("camvid").classes, table, whole=False))  # type: ignore[arg-type]


def test_a_class_that_never_occurs_is_said_of_a_whole_split_without_a_table() -> None:
    """COCO and Cityscapes have no published shares here."""
    pixels = np.full(20, 100)
    pixels[[13, 15]] = 0
    found = list(faults(looks(pixels), CLASSES, None, whole=True))  # type: ignore[arg-type]
    assert found == ["no pixel is n (2 classes in all)"]
    assert not list(faults(looks(pixels), CLASSES, None, whole=False))  # type: ignore[arg-type]


def test_published_pixels_have_every_class_and_void() -> None:
    """One number each."""
    assert {len(v) for v in dataset_info.get("voc").pixels.values()} == {len(dataset_info.get("voc").classes) + 1}
    assert {len(v) for v in dataset_info.get("camvid").pixels.values()} == {len(dataset_info.get("camvid").classes) + 1}
    # 480 x 360 each; VOC's own masks hold 5.4 % void.
    assert sum(dataset_info.get("camvid").pixels["train"]) == 367 * 480 * 360
    assert sum(dataset_info.get("camvid").pixels["val"]) == 101 * 480 * 360
    val = dataset_info.get("voc").pixels["val"]
    assert val[-1] / sum(val) == pytest.approx(0.055, abs=0.002)


def test_a_picture_of_two_splits_is_found_by_its_pixels(tmp_path: Path) -> None:
    """Stored anew under another name, so that no byte of the file is the same."""
    write_camvid(tmp_path, [street(i) for i in range(2)])
    write_camvid(tmp_path, [street(7)], "test")
    picture = load("camvid", "train", tmp_path).read(1)[0]
    cv2.imwrite(str(tmp_path / "camvid/test/test0.png"), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert "camvid/test: test0 is the same picture as camvid/train: train1" in said(tmp_path, split="test")


def test_a_damaged_store_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data may be whole; what a run would read is not."""
    monkeypatch.setenv("REPRO_CACHE", str(tmp_path / "cache"))
    write_camvid(tmp_path / "data", [street(i) for i in range(3)])
    store = open_store(load("camvid", "train", tmp_path / "data"))
    assert said(tmp_path / "data") == ""
    with (store.folder / PIXELS).open("r+b") as file:
        file.seek(int(store.starts[1]))
        file.write(bytes(2000))
    assert f"store {store.folder} is damaged (train1 first)" in said(tmp_path / "data")


def test_a_partial_list_is_counted(tmp_path: Path) -> None:
    """As everywhere: the counts stand beside the published ones."""
    home = make_voc(tmp_path)
    write_list(home, "train", ["a b"])
    line = next(line for line in check("voc", tmp_path).lines if line.name == "train")
    assert line.verdict == "refused"
    assert "train.txt, line 1: 'a b' is not the name of one image" in line.faults[0]
