"""PASCAL VOC 2012 and its augmentation by SBD, in their published folders (section 4)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from repro import published
from repro.data.dataset import AbsentError, Bytes, DataError, Dataset, Item
from repro.data.files import (
    find_home,
    list_folder,
    pick,
    plain_table,
    read_image,
    read_list,
    read_pair,
    same_size,
    translate,
)
from repro.data.palette import VOC_PALETTE

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
SPLITS = ("train", "val", "trainval", "test", "trainaug")
COUNTS = published.IMAGES["voc"]
"""Images of each split as the paper counts them (section 4)."""
_LISTS = "ImageSets/Segmentation"
_TABLE = plain_table(len(CLASSES))


def load(split: str, root: Path) -> Dataset:
    """Load a split below ``root`` (``VOCdevkit/VOC2012``, ``VOC2012`` or the folder itself).

    ``trainaug`` is VOC train + SBD train and val without every VOC val image: from ``SegmentationClassAug`` and
    ``trainaug.txt`` where they exist, else from SBD's ``.mat`` release beside them.

    Raises:
        DataError: a folder, split file, image or mask is missing, or a val image is in the training list.
    """
    home = find_home(root, "PASCAL VOC 2012", ("VOCdevkit/VOC2012", "VOC2012", "voc"), _LISTS)
    if split == "trainaug":
        return _load_augmented(root, home)
    ids = read_list(home / _LISTS / f"{split}.txt")
    if split == "train" and (home / _LISTS / "val.txt").exists():
        refuse_val(ids, home, "train.txt")
    return _dataset(split, root, home, ids, _masks(home / "SegmentationClass", ids) if split != "test" else None)


def _masks(folder: Path, ids: tuple[str, ...]) -> tuple[Path, ...]:
    return pick(ids, list_folder(folder), folder, "the mask")


def _dataset(split: str, root: Path, home: Path, ids: tuple[str, ...], masks: tuple[Path, ...] | None) -> Dataset:
    images = pick(ids, _images(home, root), home / "JPEGImages", "the image")

    def read(i: int) -> Item:
        mask = masks[i] if masks else None
        return read_sbd(images[i], mask) if mask and mask.suffix == ".mat" else read_pair(images[i], mask, _TABLE)

    def files(i: int) -> tuple[Path, ...]:
        return (images[i], masks[i]) if masks else (images[i],)

    return Dataset(
        "voc", split, CLASSES, VOC_PALETTE[: len(CLASSES)], ids, read, files, labelled=masks is not None, root=root
    )


def _images(home: Path, root: Path) -> dict[str, Path]:
    sbd = find_sbd(root, home)
    extra = list_folder(sbd / "img") if sbd and (sbd / "img").is_dir() else {}
    return extra | list_folder(home / "JPEGImages")


def _load_augmented(root: Path, home: Path) -> Dataset:
    folder, sbd = home / "SegmentationClassAug", find_sbd(root, home)
    if (home / _LISTS / "trainaug.txt").exists() and folder.is_dir():
        ids = read_list(home / _LISTS / "trainaug.txt")
        refuse_val(ids, home, "trainaug.txt")
        return _dataset("trainaug", root, home, ids, _masks(folder, ids))
    if sbd is None:
        raise AbsentError(
            f"voc/trainaug needs {folder} with {_LISTS}/trainaug.txt, or SBD's release (dataset/cls) under {root}; "
            "unpack one of them there"
        )
    ids = assemble(home, sbd)
    train = frozenset(read_list(home / _LISTS / "train.txt"))
    own, theirs = list_folder(home / "SegmentationClass"), list_folder(sbd / "cls")
    found = {name: (own if name in train else theirs).get(name) for name in ids}
    masks = pick(ids, {name: path for name, path in found.items() if path}, sbd / "cls", "the mask")
    return _dataset("trainaug", root, home, ids, masks)


def find_sbd(root: Path, home: Path) -> Path | None:
    """Return the folder of SBD's release that holds ``cls``, or None."""
    places = ("benchmark_RELEASE/dataset", "sbd/benchmark_RELEASE/dataset", "sbd/dataset", "sbd", "SBD/dataset", "SBD")
    return next((top / place for top in (root, home) for place in places if (top / place / "cls").is_dir()), None)


def assemble(home: Path, sbd: Path) -> tuple[str, ...]:
    """Return VOC train + SBD train and val minus every VOC val image, sorted (10,582 of the published files)."""
    val, train = set(read_list(home / _LISTS / "val.txt")), read_list(home / _LISTS / "train.txt")
    refuse_val(train, home, "train.txt")
    return tuple(sorted({*read_list(sbd / "train.txt"), *read_list(sbd / "val.txt"), *train} - val))


def refuse_val(ids: tuple[str, ...], home: Path, listed: str) -> None:
    """Raise ``DataError`` where the list ``listed`` holds an image of VOC's val split, or val's list is missing."""
    shared = sorted(set(ids) & set(read_list(home / _LISTS / "val.txt")))
    if shared:
        raise DataError(
            f"training list {home / _LISTS / listed} holds {len(shared)} of VOC val's images, the first is "
            f"{shared[0]}; remove them, or the score on val means nothing"
        )


def read_mat(path: Path) -> Bytes:
    """Read the class ids (h, w) of SBD's ``GTcls.Segmentation``; raise ``DataError`` naming the path."""
    from scipy.io import loadmat  # slow to import, and only SBD's own release needs it

    try:
        content = loadmat(path, squeeze_me=True, struct_as_record=False, variable_names=["GTcls"])
        return np.asarray(content["GTcls"].Segmentation, dtype=np.uint8)
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise DataError(f"mask {path} cannot be read ({error}); restore it from SBD's release") from error


def read_sbd(image: Path, mask: Path) -> Item:
    """Decode an image and its SBD mask."""
    pixels, ids = read_image(image), read_mat(mask)
    same_size(pixels, ids, image, mask)
    return pixels, translate(ids, _TABLE, mask)


read_voc = partial(read_pair, lut=_TABLE)
"""Decode an image and its palette mask."""
