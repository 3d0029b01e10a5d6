"""Cityscapes, fine and coarse, with its label ids turned into the 19 train ids (section 4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from cityscapesscripts.helpers import labels as scripts
from numpy.typing import NDArray

from repro.config import dataset_info
from repro.config.dataset_info import DatasetInfo
from repro.config.errors import AbsentError, DataError
from repro.data.dataset import IGNORE_INDEX, Bytes, Dataset, Item
from repro.data.io import find_home, is_junk, label_pair, pick, read_ids, read_image, table
from repro.data.palette import Coding

Counts = NDArray[np.int64]
_TRAINED = sorted(
    (label for label in scripts.labels if 0 <= label.trainId < IGNORE_INDEX), key=lambda label: label.trainId
)
CLASSES = dataset_info.get("cityscapes").classes
TO_TRAIN_ID = {
    label.id: label.trainId if label in _TRAINED else IGNORE_INDEX for label in scripts.labels if label.id >= 0
}
"""Label id -> train id, or 255, by cityscapesscripts' own table."""
TO_LABEL_ID = {label.trainId: label.id for label in _TRAINED}
_TABLE = table(TO_TRAIN_ID)
CODING = Coding(
    {label.id: (int(label.color[0]), int(label.color[1]), int(label.color[2])) for label in scripts.labels
     if label.id >= 0},
    frozenset(TO_TRAIN_ID),
)  # fmt: skip
TRAIN_CODING = Coding(dict(enumerate(dataset_info.get("cityscapes").palette)), frozenset())
"""Train ids in the classes' colours, as predictions are written; no label file has them."""
_SAMPLE = 8
_SHARES = (
    0.33, 0.054, 0.20, 0.0058, 0.0078, 0.011, 0.0019, 0.0049, 0.14, 0.010,
    0.036, 0.011, 0.0012, 0.062, 0.0024, 0.0021, 0.0021, 0.0009, 0.0037,
)  # fmt: skip
"""Share of all pixels of each class in gtFine's training images, to two digits: for likelihoods, not for checks."""
_VOID_SHARES = {0: 0.35, 1: 0.045, 2: 0.01, 3: 0.02, 4: 0.014, 5: 0.003, 6: 0.013, 9: 0.006, 10: 0.002, 14: 1e-4,
                15: 0.003, 16: 3e-4, 18: 1e-4, 29: 1e-4, 30: 2e-4}  # fmt: skip
"""The same of the void label ids; of 0 as in gtCoarse, where a third or more is unlabelled."""
_TRAIN_VOIDS = (19, 20)
"""Ids above all train ids that are used for void, as is 255."""
_ABSENT = 1e-6
_MANY = 12
"""Ids from which a set without one above 20 holds train ids, whatever their shares."""
_CLEAR = 0.5
"""Mean log-likelihood ratio of a file's pixels from which it holds train ids: e^0.5 a pixel, e^1,000,000 a file."""


def _likelihoods() -> tuple[NDArray[np.float64], Mapping[str, NDArray[np.float64]]]:
    """Return the log-likelihood (256,) of each stored id in files of label ids, and in the known kinds of train ids."""
    label = np.full(256, _ABSENT)
    for stored, share in (_VOID_SHARES | {TO_LABEL_ID[i]: share for i, share in enumerate(_SHARES)}).items():
        label[stored] = share
    others = {}
    for first, voids in ((0, (*_TRAIN_VOIDS, IGNORE_INDEX)), (1, (0, 20, IGNORE_INDEX))):
        for void in voids:
            train = np.full(256, _ABSENT)
            train[first : first + len(_SHARES)] = _SHARES
            train[void] = 0.11
            shifted = ", shifted by one" if first else ""
            others[f"train ids{shifted}, void {void}"] = np.log(train)
    return np.log(label), others


_LABEL, _TRAIN = _likelihoods()


def load(info: DatasetInfo, split: str, root: Path) -> Dataset:
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
    seen: dict[int, Counts] = {}

    def read(i: int) -> Item:
        if masks is None:
            return _unlabelled(paths[i])
        item, seen[i] = _read(paths[i], masks[i])
        return item

    def stored(i: int) -> Bytes:
        return read_ids(masks[i], (CODING,)) if masks else _unlabelled(paths[i])[1]

    def judge() -> None:
        if masks and seen:
            _judge([masks[i] for i in seen], list(seen.values()))

    def files(i: int) -> tuple[Path, ...]:
        return (paths[i], masks[i]) if masks else (paths[i],)

    return Dataset(
        info.name, split, info.classes, info.palette, tuple(images), read, files,
        labelled=masks is not None, root=root, version=info.version, judge=judge, stored=stored,
    )  # fmt: skip


def _images(folder: Path) -> dict[str, Path]:
    """Return the images by name (``city_sequence_frame``), in order."""
    if not folder.is_dir():
        raise AbsentError(f"folder {folder} is missing; unpack leftImg8bit there")
    return _by_frame(folder, "_leftImg8bit")


def _by_frame(folder: Path, suffix: str) -> dict[str, Path]:
    """Return the PNG files of all cities whose names end in ``suffix``, by the part of the name before it."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob(f"*/*{suffix}.png")):
        if is_junk(path.name) or is_junk(path.parent.name):
            continue
        name = path.stem.removesuffix(suffix)
        if name in found:
            raise DataError(f"{found[name]} and {path} are two files of one frame; remove the wrong one")
        found[name] = path
    return found


def _masks(home: Path, split: str, names: tuple[str, ...], *, coarse: bool) -> tuple[Path, ...]:
    kind = "gtCoarse" if coarse else "gtFine"
    folder, suffix = home / kind / split, f"_{kind}_labelIds"
    if not folder.is_dir():
        kind_of = AbsentError if coarse else DataError  # the images of train come without their coarse labels
        raise kind_of(f"folder {folder} is missing; unpack {kind} there")
    found = _by_frame(folder, suffix)
    if not found and next(folder.glob("*/*TrainIds.png"), None):
        raise DataError(f"{folder} holds train ids only (*TrainIds.png); unpack the published *{suffix}.png there")
    return pick(names, found, folder, "the label ids")


def refuse_train_ids(masks: tuple[Path, ...]) -> None:
    """Raise ``DataError`` where files named as label ids hold train ids, by a sample of them.

    Every file is looked at when it is read, and all together once all were read.
    """
    chosen = [masks[i] for i in np.unique(np.linspace(0, len(masks) - 1, _SAMPLE).astype(int))]
    _judge(chosen, [_counts(read_ids(path, (CODING,))) for path in chosen])


def _counts(ids: Bytes) -> Counts:
    """Return the pixels (256,) of each stored id."""
    return np.bincount(ids.ravel(), minlength=256).astype(np.int64)


def _judge(masks: Sequence[Path], counts: Sequence[Counts]) -> None:
    """Raise ``DataError`` where masks taken together hold train ids or shifted ids: none above 20, or 255.

    Of label ids sky, vegetation and every vehicle are above 20. A few coarse masks may have none of them: those hold
    few ids, whose shares decide.
    """
    whole = np.sum(counts, axis=0)
    highest = int(np.flatnonzero(whole).max())
    kind, ratio = _most_likely(whole)
    if highest == IGNORE_INDEX or (
        highest <= max(_TRAIN_VOIDS) and (ratio > _CLEAR or np.count_nonzero(whole) >= _MANY)
    ):
        raise DataError(
            f"{masks[0].parent.parent} holds train ids where label ids are expected (highest id of {len(masks)} "
            f"files: {highest}; most likely {kind}); restore the published *_labelIds.png"
        )
    if max(float((whole / whole.sum()) @ (np.roll(_LABEL, step) - _LABEL)) for step in (1, -1)) > _CLEAR:
        raise DataError(
            f"{masks[0].parent.parent} holds label ids shifted by one, by the shares of its ids; restore the published "
            "*_labelIds.png"
        )


def _refuse_file(counts: Counts, mask: Path) -> None:
    """Raise ``DataError`` where one mask holds train ids: 255, or no id above 20 and shares of that kind."""
    if counts[IGNORE_INDEX]:
        raise DataError(f"mask {mask} holds 255, a train id, where label ids are expected; restore the published file")
    kind, ratio = _most_likely(counts)
    if int(np.flatnonzero(counts).max()) <= max(_TRAIN_VOIDS) and ratio > _CLEAR:
        raise DataError(
            f"mask {mask} holds train ids where label ids are expected (no id is above 20, and the shares of its ids "
            f"are those of {kind}); restore the published file"
        )


def _most_likely(counts: Counts) -> tuple[str, float]:
    """Return the likeliest kind of train ids, and its mean log-likelihood ratio to label ids, in nats a pixel."""
    shares = counts / counts.sum()
    kind = max(_TRAIN, key=lambda name: float(shares @ _TRAIN[name]))
    return kind, float(shares @ (_TRAIN[kind] - _LABEL))


def _unlabelled(image: Path) -> Item:
    pixels = read_image(image)
    return pixels, np.full(pixels.shape[:2], IGNORE_INDEX, np.uint8)


def _read(image: Path, mask: Path) -> tuple[Item, Counts]:
    pixels, ids = read_image(image), read_ids(mask, (CODING,))
    counts = _counts(ids)
    _refuse_file(counts, mask)
    return label_pair(pixels, ids, _TABLE, image, mask), counts


def to_label_ids(labels: Bytes) -> Bytes:
    """Turn train ids (h, w) into the label ids that the test server wants; 255 becomes 0, unlabelled."""
    lut = np.zeros(256, np.uint8)
    lut[list(TO_LABEL_ID)] = list(TO_LABEL_ID.values())
    return lut[labels]
