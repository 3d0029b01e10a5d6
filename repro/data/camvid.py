"""CamVid in the 11-class split of SegNet (``train`` beside ``trainannot``), at its own size and at half of it."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from repro.config import dataset_info
from repro.config.dataset_info import DatasetInfo
from repro.config.errors import AbsentError, DataError
from repro.data.augment import scaled
from repro.data.dataset import IGNORE_INDEX, Dataset, Item
from repro.data.io import IMAGE_ENDINGS, find_home, list_folder, pick, read_pair, table
from repro.data.palette import Coding

VOID = 11
"""The id of void in the published masks."""
_LABELS = {i: i for i in range(VOID)}
CODING = Coding(
    {**dict(enumerate(dataset_info.get("camvid").palette)), VOID: (0, 0, 0)}, frozenset({*_LABELS, VOID, IGNORE_INDEX})
)
_TABLE = table(_LABELS | {VOID: IGNORE_INDEX, IGNORE_INDEX: IGNORE_INDEX})
_PARTS = ("train", "val", "test")
HELD = 0.2
"""Share of each training sequence, its last part, that is held out to choose recipes on."""


def load(info: DatasetInfo, split: str, root: Path) -> Dataset:
    """Load a split below ``root`` (``camvid``, ``CamVid`` or the folder itself); images are PNG or JPEG.

    With a ``reduction``, images are scaled by area and labels by the nearest pixel. ``fit`` and ``held`` divide
    ``train``: the last fifth of each sequence is held out in one piece, as neighbouring frames show the same scene.

    Raises:
        DataError: a folder is missing, an image has no mask, or two splits hold the same picture.
    """
    home = find_home(root, "CamVid", ("camvid", "CamVid"), "trainannot")
    parts = {"trainval": ("train", "val"), "fit": ("train",), "held": ("train",)}.get(split, (split,))
    pairs = [pair for part in parts for pair in _pairs(home, part)]
    if split in ("fit", "held"):
        pairs = [pairs[i] for i in divided([path.stem for path, _ in pairs], held=split == "held")]
    others = {part: list_folder(home / part, IMAGE_ENDINGS) for part in _PARTS if (home / part).is_dir()}
    _refuse_shared(others)
    images, masks = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def read(i: int) -> Item:
        pair = read_pair(images[i], masks[i], _TABLE, CODING)
        if info.reduction == 1:
            return pair
        image, labels = scaled(list(pair), info.reduction)
        return image, labels

    ids = tuple(path.stem for path in images)
    return Dataset(
        info.name, split, info.classes, info.palette, ids, read, lambda i: (images[i], masks[i]),
        root=root, version=info.version, judge=lambda: _refuse_copies(others),
    )  # fmt: skip


def divided(ids: Sequence[str], *, held: bool) -> tuple[int, ...]:
    """Return the indices of the training images that are held out, or of the others."""
    sequences: dict[str, list[int]] = {}
    for i in sorted(range(len(ids)), key=ids.__getitem__):
        sequences.setdefault(re.split(r"[_.]", ids[i])[0], []).append(i)
    last = {i for places in sequences.values() for i in places[len(places) - int(len(places) * HELD) :]}
    return tuple(i for i in range(len(ids)) if (i in last) == held)


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
