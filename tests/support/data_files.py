"""Small data roots in the published layouts, written by the tests themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from repro.data.palette import write_palette_png

Bytes = NDArray[np.uint8]


def noise(seed: int, *shape: int, top: int = 256) -> Bytes:
    """Return reproducible noise below ``top``."""
    return np.random.default_rng(seed).integers(0, top, shape, dtype=np.uint8)


def save(array: Bytes, path: Path) -> Path:
    """Write an image file, its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def save_mask(labels: Bytes, path: Path) -> Path:
    """Write a palette PNG, its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_palette_png(labels, path)
    return path


def write_list(home: Path, split: str, names: list[str]) -> None:
    """Write a split file of VOC."""
    path = home / "ImageSets/Segmentation" / f"{split}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


def voc_mask(i: int) -> Bytes:
    """Return the labels of VOC image ``i``: 12 x 16, classes and void."""
    mask = noise(i, 12, 16, top=21)
    mask[0, : i + 1] = 255
    return mask


def make_voc(root: Path) -> Path:
    """VOC 2012 with train a, b; val c; test d; and images e, f of SBD. Returns the folder with ImageSets."""
    home = root / "VOCdevkit/VOC2012"
    for i, name in enumerate("abcdef"):
        save(noise(i, 12, 16, 3), home / "JPEGImages" / f"{name}.jpg")
        if name in "abc":
            save_mask(voc_mask(i), home / "SegmentationClass" / f"{name}.png")
    for split, names in {"train": "ab", "val": "c", "trainval": "abc", "test": "d"}.items():
        write_list(home, split, list(names))
    return home


def add_augmented(home: Path) -> None:
    """Add the masks of VOC and SBD as PNG, with their list: a, b, e, f to train on."""
    for i, name in enumerate("abcdef"):
        save_mask(voc_mask(i), home / "SegmentationClassAug" / f"{name}.png")
    write_list(home, "trainaug", list("abef"))


def add_sbd(root: Path) -> Path:
    """Add SBD's release: train a, e; val c (VOC's val), f. Returns its folder."""
    sbd = root / "benchmark_RELEASE/dataset"
    (sbd / "cls").mkdir(parents=True)
    for i, name in enumerate("abcdef"):
        if name in "acef":
            mask = np.where(voc_mask(i) == 255, 0, voc_mask(i)).astype(np.uint8)
            savemat(sbd / "cls" / f"{name}.mat", {"GTcls": {"Segmentation": mask, "Boundaries": 0}})
    (sbd / "train.txt").write_text("a\ne\n")
    (sbd / "val.txt").write_text("c\nf\n")
    return sbd


def make_camvid(root: Path, ending: str = "png") -> Path:
    """CamVid with two training images and one each to validate and test, no two alike."""
    home = root / "camvid"
    for split, count, seed in (("train", 2, 0), ("val", 1, 10), ("test", 1, 20)):
        for i in range(count):
            save(noise(seed + i, 9, 12, 3), home / split / f"{split}{i}.{ending}")
            save(noise(seed + i, 9, 12, top=12), home / f"{split}annot" / f"{split}{i}.png")
    return home


LABEL_IDS = (0, 3, 7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def make_cityscapes(root: Path) -> Path:
    """Cityscapes: two fine training images, one each of val, test and train_extra (coarse)."""
    home = root / "cityscapes"
    for split, kind, names, seed in (
        ("train", "gtFine", ("aachen_0_1", "bochum_0_2"), 0),
        ("val", "gtFine", ("ulm_0_3",), 10),
        ("test", "", ("berlin_0_4",), 20),
        ("train_extra", "gtCoarse", ("erlangen_0_5",), 30),
    ):
        for i, name in enumerate(names, start=seed):
            city = name.split("_")[0]
            save(noise(i, 16, 32, 3), home / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png")
            if kind:
                ids = np.array(LABEL_IDS, np.uint8)[noise(i, 16, 32, top=len(LABEL_IDS))]
                save(ids, home / kind / split / city / f"{name}_{kind}_labelIds.png")
    return home


def square(left: int, top: int, side: int) -> list[list[float]]:
    """Return COCO's polygon of a square."""
    right, bottom = left + side, top + side
    return [[left, top, right, top, right, bottom, left, bottom]]


def make_coco(root: Path, names: dict[int, str], annotations: dict[str, list[dict[str, Any]]], year: str) -> Path:
    """COCO of one year: three images of 20 x 30 a split; ``annotations`` by split, ``image_id`` 1 to 3."""
    home = root / "coco"
    (home / "annotations").mkdir(parents=True)
    for part, (split, drawn) in enumerate(annotations.items()):
        images = [{"id": i, "file_name": f"{part}{i:04d}.png", "height": 20, "width": 30} for i in (1, 2, 3)]
        for image in images:
            save(noise(int(image["id"]), 20, 30, 3), home / f"{split}{year}" / str(image["file_name"]))
        categories = [{"id": i, "name": name} for i, name in names.items()]
        filled = [{"id": i + 1, "iscrowd": 0, "area": 1, "bbox": [0, 0, 1, 1], **a} for i, a in enumerate(drawn)]
        content = {"images": images, "annotations": filled, "categories": categories}
        (home / "annotations" / f"instances_{split}{year}.json").write_text(json.dumps(content))
    return home


def make_imagenet(root: Path, *, listed: bool = True) -> Path:
    """ImageNet with two classes of two images, 300 x 400 and 256 x 256."""
    home = root / "imagenet"
    for i, wnid in enumerate(("n02", "n01")):
        for split in ("train", "val"):
            save(noise(i, 300, 400, 3), home / split / wnid / f"{wnid}_0.JPEG")
            save(noise(i + 9, 256, 256, 3), home / split / wnid / f"{wnid}_1.JPEG")
    if listed:
        (home / "labels.tsv").write_text("0\tn00\tnobody\n1\tn01\tcat\n2\tn02\tdog\n")
    return home


def read_palette(path: Path) -> tuple[tuple[int, int, int], ...]:
    """Return the colours of a palette PNG."""
    with Image.open(path) as image:
        flat = image.getpalette("RGB") or []
    return tuple(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
