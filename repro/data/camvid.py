"""CamVid in the 11-class split of SegNet: ``train`` beside ``trainannot``, and so on."""

from __future__ import annotations

from pathlib import Path

from repro import published
from repro.data.dataset import IGNORE_INDEX, AbsentError, DataError, Dataset, Item
from repro.data.files import IMAGE_ENDINGS, find_home, list_folder, pick, read_pair, table

CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
PALETTE = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
SPLITS = ("train", "val", "test", "trainval")
COUNTS = published.IMAGES["camvid"]
VOID = 11
"""The id of void in the published masks."""
_TABLE = table({i: i for i in range(len(CLASSES))} | {VOID: IGNORE_INDEX, IGNORE_INDEX: IGNORE_INDEX})


def load(split: str, root: Path) -> Dataset:
    """Load a split below ``root`` (``camvid``, ``CamVid`` or the folder itself); images are PNG or JPEG.

    Raises:
        DataError: a folder is missing, or an image has no mask.
    """
    home = find_home(root, "CamVid", ("camvid", "CamVid"), "trainannot")
    parts = ("train", "val") if split == "trainval" else (split,)
    pairs = [pair for part in parts for pair in _pairs(home, part)]
    images, masks = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def read(i: int) -> Item:
        return read_pair(images[i], masks[i], _TABLE)

    ids = tuple(path.stem for path in images)
    return Dataset("camvid", split, CLASSES, PALETTE, ids, read, lambda i: (images[i], masks[i]), root=root)


def _pairs(home: Path, part: str) -> list[tuple[Path, Path]]:
    folder, annotations = home / part, home / f"{part}annot"
    if not folder.exists():
        raise AbsentError(f"folder {folder} is missing; put the split's images there")
    images = {stem: path for stem, path in list_folder(folder).items() if path.suffix in IMAGE_ENDINGS}
    found = list_folder(annotations)
    masks = pick(tuple(images), found, annotations, "the mask")
    if alone := sorted(set(found) - set(images)):
        raise DataError(f"mask {found[alone[0]]} has no image in {folder}; restore the image or remove the mask")
    return list(zip(images.values(), masks, strict=True))
