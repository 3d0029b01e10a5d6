"""Cityscapes, fine and coarse, with its label ids turned into the 19 train ids (section 4.3)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cityscapesscripts.helpers import labels as scripts

from repro import published
from repro.data.dataset import IGNORE_INDEX, AbsentError, Bytes, DataError, Dataset, Item
from repro.data.files import find_home, pick, read_ids, read_image, same_size, table, translate

_TRAINED = sorted(
    (label for label in scripts.labels if 0 <= label.trainId < IGNORE_INDEX), key=lambda label: label.trainId
)
CLASSES = tuple(label.name for label in _TRAINED)
PALETTE = tuple((int(label.color[0]), int(label.color[1]), int(label.color[2])) for label in _TRAINED)
SPLITS = ("train", "val", "test", "train_extra", "train_coarse", "val_coarse")
COUNTS = published.IMAGES["cityscapes"]
"""Images of each split as the paper counts them; train + train_extra = 22,973 (Stage-1 of Table 9)."""
TO_TRAIN_ID = {
    label.id: label.trainId if label in _TRAINED else IGNORE_INDEX for label in scripts.labels if label.id >= 0
}
"""Label id -> train id, or 255, by cityscapesscripts' own table."""
TO_LABEL_ID = {label.trainId: label.id for label in _TRAINED}
_TABLE = table(TO_TRAIN_ID)
_SAMPLE = 8


def load(split: str, root: Path) -> Dataset:
    """Load a split below ``root`` (``cityscapes``, ``Cityscapes`` or the folder itself).

    ``train``, ``val``: ``gtFine``; ``train_extra``, ``train_coarse``, ``val_coarse``: ``gtCoarse``; ``test``: none.

    Raises:
        DataError: a folder is missing, an image has no label ids, or the files hold train ids in their place.
    """
    home = find_home(root, "Cityscapes", ("cityscapes", "Cityscapes"), "leftImg8bit")
    coarse = split == "train_extra" or split.endswith("_coarse")
    images = _images(home / "leftImg8bit" / split.removesuffix("_coarse"))
    masks = _masks(home, split.removesuffix("_coarse"), tuple(images), coarse=coarse) if split != "test" else None
    if masks:
        refuse_train_ids(masks)
    paths = list(images.values())

    def read(i: int) -> Item:
        return _read(paths[i], masks[i] if masks else None)

    def files(i: int) -> tuple[Path, ...]:
        return (paths[i], masks[i]) if masks else (paths[i],)

    labelled = masks is not None
    return Dataset("cityscapes", split, CLASSES, PALETTE, tuple(images), read, files, labelled=labelled, root=root)


def _images(folder: Path) -> dict[str, Path]:
    """Return the images by name (``city_sequence_frame``), in order."""
    if not folder.is_dir():
        raise AbsentError(f"folder {folder} is missing; unpack leftImg8bit there")
    suffix = "_leftImg8bit"
    paths = sorted(folder.glob(f"*/*{suffix}.png"))
    return {path.stem.removesuffix(suffix): path for path in paths}


def _masks(home: Path, split: str, names: tuple[str, ...], *, coarse: bool) -> tuple[Path, ...]:
    kind = "gtCoarse" if coarse else "gtFine"
    folder, suffix = home / kind / split, f"_{kind}_labelIds"
    if not folder.is_dir():
        kind_of = AbsentError if coarse else DataError  # the images of train come without their coarse labels
        raise kind_of(f"folder {folder} is missing; unpack {kind} there")
    found = {path.stem.removesuffix(suffix): path for path in folder.glob(f"*/*{suffix}.png")}
    if not found and next(folder.glob("*/*TrainIds.png"), None):
        raise DataError(f"{folder} holds train ids only (*TrainIds.png); unpack the published *{suffix}.png there")
    return pick(names, found, folder, "the label ids")


def refuse_train_ids(masks: tuple[Path, ...]) -> None:
    """Raise ``DataError`` where files named as label ids hold train ids: 255, or nothing above 18, in a sample."""
    chosen = [masks[i] for i in np.unique(np.linspace(0, len(masks) - 1, _SAMPLE).astype(int))]
    highest = max(int(read_ids(path).max()) for path in chosen)
    if highest < len(CLASSES) or highest == IGNORE_INDEX:
        raise DataError(
            f"{chosen[0].parent.parent} holds train ids where label ids are expected (highest id of {len(chosen)} "
            f"files: {highest}); restore the published *_labelIds.png"
        )


def _read(image: Path, mask: Path | None) -> Item:
    pixels = read_image(image)
    if mask is None:
        return pixels, np.full(pixels.shape[:2], IGNORE_INDEX, np.uint8)
    ids = read_ids(mask)
    same_size(pixels, ids, image, mask)
    if (ids == IGNORE_INDEX).any():
        raise DataError(f"mask {mask} holds 255, a train id, where label ids are expected; restore the published file")
    return pixels, translate(ids, _TABLE, mask)


def to_label_ids(labels: Bytes) -> Bytes:
    """Turn train ids (h, w) into the label ids that the test server wants; 255 becomes 0, unlabelled."""
    lut = np.zeros(256, np.uint8)
    lut[list(TO_LABEL_ID)] = list(TO_LABEL_ID.values())
    return lut[labels]
