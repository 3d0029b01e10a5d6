"""PASCAL VOC 2012 and its augmentation by SBD, as published (section 4)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from repro.config import dataset_info
from repro.config.dataset_info import DatasetInfo
from repro.config.errors import AbsentError, DataError
from repro.data.dataset import IGNORE_INDEX, Bytes, Dataset, Item
from repro.data.io import (
    IMAGE_ENDINGS,
    find_home,
    label_pair,
    list_folder,
    pick,
    plain_table,
    read_image,
    read_list,
    read_pair,
)
from repro.data.palette import VOC_CODING

CLASSES = dataset_info.get("voc").classes
_LISTS = "ImageSets/Segmentation"
_TABLE = plain_table(len(CLASSES))


def load(info: DatasetInfo, split: str, root: Path) -> Dataset:
    """Load a split below ``root`` (``VOCdevkit/VOC2012``, ``VOC2012`` or the folder itself).

    ``trainaug`` is VOC train + SBD train and val without every VOC val image: from ``SegmentationClassAug`` and
    ``trainaug.txt`` where they exist, else from SBD's ``.mat`` release beside them.

    Raises:
        DataError: a folder, split file, image or mask is missing, or a val image is in the training list.
    """
    home = find_home(root, "PASCAL VOC 2012", ("VOCdevkit/VOC2012", "VOC2012", "voc"), _LISTS)
    if split == "trainaug":
        return _load_augmented(info, root, home)
    ids = read_list(home / _LISTS / f"{split}.txt")
    if split == "train" and (home / _LISTS / "val.txt").exists():
        refuse_val(ids, home, "train.txt")
    masks = _masks(home / "SegmentationClass", ids) if split != "test" else None
    return _dataset(info, split, root, home, ids, masks, _lists(home, split))


def _lists(home: Path, *splits: str) -> tuple[Path, ...]:
    """Return the lists of these splits that are there."""
    return tuple(path for split in splits if (path := home / _LISTS / f"{split}.txt").exists())


def _masks(folder: Path, ids: tuple[str, ...]) -> tuple[Path, ...]:
    return pick(ids, list_folder(folder), folder, "the mask")


def _dataset(
    info: DatasetInfo, split: str, root: Path, home: Path, ids: tuple[str, ...], masks: tuple[Path, ...] | None,
    lists: tuple[Path, ...],
) -> Dataset:  # fmt: skip
    images = pick(ids, _images(home, root), home / "JPEGImages", "the image")

    def read(i: int) -> Item:
        mask = masks[i] if masks else None
        if mask is not None and mask.suffix == ".mat":
            return label_pair(read_image(images[i]), read_mat(mask), _TABLE, images[i], mask)
        return read_pair(images[i], mask, _TABLE, VOC_CODING)

    def files(i: int) -> tuple[Path, ...]:
        return (images[i], masks[i]) if masks else (images[i],)

    return Dataset(
        info.name, split, info.classes, info.palette, ids, read, files,
        labelled=masks is not None, root=root, version=info.version, lists=lists,
    )  # fmt: skip


def _images(home: Path, root: Path) -> dict[str, Path]:
    sbd = find_sbd(root, home)
    extra = list_folder(sbd / "img", IMAGE_ENDINGS) if sbd and (sbd / "img").is_dir() else {}
    return extra | list_folder(home / "JPEGImages", IMAGE_ENDINGS)


def _load_augmented(info: DatasetInfo, root: Path, home: Path) -> Dataset:
    folder, sbd = home / "SegmentationClassAug", find_sbd(root, home)
    if (home / _LISTS / "trainaug.txt").exists() and folder.is_dir():
        ids = read_list(home / _LISTS / "trainaug.txt")
        refuse_val(ids, home, "trainaug.txt")
        return _dataset(info, "trainaug", root, home, ids, _masks(folder, ids), _lists(home, "trainaug", "val"))
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
    lists = (*_lists(home, "train", "val"), sbd / "train.txt", sbd / "val.txt")
    return _dataset(info, "trainaug", root, home, ids, masks, lists)


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
    """Read the class ids (h, w) of SBD's ``GTcls.Segmentation``; raise ``DataError`` naming the path.

    A value that is no whole number of a byte is refused, as it would be cut to another class.
    """
    from scipy.io import loadmat  # slow to import, and only SBD's own release needs it

    try:
        content = loadmat(path, squeeze_me=False, struct_as_record=False, variable_names=["GTcls"])
        ids = np.asarray(content["GTcls"].squeeze().item().Segmentation)
        if ids.ndim != 2 or ids.dtype.kind not in "uif":  # noqa: PLR2004 - rows and columns
            raise DataError(f"its Segmentation is {ids.dtype} with {ids.ndim} axes")  # noqa: TRY301 - said with the path below
        wrong = ids[~((ids >= 0) & (ids <= IGNORE_INDEX) & (ids == np.floor(ids)))]
        if wrong.size:
            raise DataError(f"it holds the value {wrong[0]:g}, which is no class id")  # noqa: TRY301 - as above
        return ids.astype(np.uint8)
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise DataError(f"mask {path} cannot be read ({error}); restore it from SBD's release") from error
