"""CamVid in the 11-class split of SegNet: ``train`` beside ``trainannot``, and so on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from itertools import combinations
from pathlib import Path

from repro.config import dataset_info
from repro.config.errors import AbsentError, DataError
from repro.data.dataset import IGNORE_INDEX, Dataset, Item
from repro.data.io import IMAGE_ENDINGS, find_home, list_folder, pick, read_pair, table
from repro.data.palette import Coding

CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
PALETTE = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
SPLITS = ("train", "val", "test", "trainval")
VERSION = "2"
"""Raised in every change that reads the same files otherwise: older stores are then decoded again."""
_PARTS = ("train", "val", "test")
COUNTS = dataset_info.IMAGES["camvid"]
VOID = 11
"""The id of void in the published masks."""
CODING = Coding({**dict(enumerate(PALETTE)), VOID: (0, 0, 0)}, frozenset({*range(len(CLASSES)), VOID, IGNORE_INDEX}))
_TABLE = table({i: i for i in range(len(CLASSES))} | {VOID: IGNORE_INDEX, IGNORE_INDEX: IGNORE_INDEX})


def load(split: str, root: Path) -> Dataset:
    """Load a split below ``root`` (``camvid``, ``CamVid`` or the folder itself); images are PNG or JPEG.

    Raises:
        DataError: a folder is missing, an image has no mask, or two splits hold the same picture.
    """
    home = find_home(root, "CamVid", ("camvid", "CamVid"), "trainannot")
    parts = ("train", "val") if split == "trainval" else (split,)
    pairs = [pair for part in parts for pair in _pairs(home, part)]
    others = {part: list_folder(home / part, IMAGE_ENDINGS) for part in _PARTS if (home / part).is_dir()}
    _refuse_shared(others)
    images, masks = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def read(i: int) -> Item:
        return read_pair(images[i], masks[i], _TABLE, CODING)

    ids = tuple(path.stem for path in images)
    return Dataset(
        "camvid", split, CLASSES, PALETTE, ids, read, lambda i: (images[i], masks[i]),
        root=root, version=VERSION, judge=lambda: _refuse_copies(others),
    )  # fmt: skip


def _refuse_shared(found: dict[str, dict[str, Path]]) -> None:
    """Raise ``DataError`` where a picture of one split has its name in another."""
    for a, b in combinations(found, 2):
        if shared := sorted(set(found[a]) & set(found[b])):
            raise _copied(found[a][shared[0]], found[b][shared[0]])


def _refuse_copies(found: dict[str, dict[str, Path]]) -> None:
    """Raise ``DataError`` where a picture of one split is that of another under another name.

    Files of one size alone are read. A picture that was encoded again is found by `repro data check`, which reads all.
    """
    by_size = defaultdict(list)
    for part, files in found.items():
        for path in files.values():
            by_size[path.stat().st_size].append((part, path))
    for paths in by_size.values():
        seen: dict[bytes, tuple[str, Path]] = {}
        for part, path in paths if len({part for part, _ in paths}) > 1 else ():
            first = seen.setdefault(hashlib.sha256(path.read_bytes()).digest(), (part, path))
            if first[0] != part:
                raise _copied(first[1], path)


def _copied(first: Path, second: Path) -> DataError:
    return DataError(f"{first} and {second} are the same picture; remove one, or what is scored was trained on")


def _pairs(home: Path, part: str) -> list[tuple[Path, Path]]:
    folder, annotations = home / part, home / f"{part}annot"
    if not folder.exists():
        raise AbsentError(f"folder {folder} is missing; put the split's images there")
    images = list_folder(folder, IMAGE_ENDINGS)
    found = list_folder(annotations)
    masks = pick(tuple(images), found, annotations, "the mask")
    if alone := sorted(set(found) - set(images)):
        raise DataError(f"mask {found[alone[0]]} has no image in {folder}; restore the image or remove the mask")
    return list(zip(images.values(), masks, strict=True))
