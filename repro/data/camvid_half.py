"""CamVid at half its size (240 x 180), and a part of its training images to choose recipes on."""

from __future__ import annotations

import re
from pathlib import Path

from repro.data import camvid
from repro.data.augment import scaled
from repro.data.camvid import CLASSES, PALETTE
from repro.data.dataset import Dataset, Item

SPLITS = (*camvid.SPLITS, "fit", "held")
VERSION = camvid.VERSION
REDUCTION = 0.5
HELD = 0.2
"""Share of each sequence of the training images, its last part, that is held back to choose recipes on."""


def load(split: str, root: Path) -> Dataset:
    """Load a split of CamVid with every side halved: images by area, labels by the nearest pixel.

    ``fit`` and ``held`` divide ``train``: of every sequence the last fifth is held back, in one piece, because
    neighbouring frames show the same scene.

    Raises:
        DataError: as ``camvid.load``.
    """
    whole = camvid.load("train" if split in ("fit", "held") else split, root)
    chosen = _part(whole.ids, held=split == "held") if split in ("fit", "held") else tuple(range(len(whole)))

    def read(i: int) -> Item:
        image, labels = scaled(list(whole.read(chosen[i])), REDUCTION)
        return image, labels

    ids = tuple(whole.ids[i] for i in chosen)
    return Dataset(
        "camvid_half", split, CLASSES, PALETTE, ids, read, lambda i: whole.sources(chosen[i]),
        root=root, version=VERSION, judge=whole.judge,
    )  # fmt: skip


def _part(ids: tuple[str, ...], *, held: bool) -> tuple[int, ...]:
    """Return the places of the images that are held back, or of the others."""
    sequences: dict[str, list[int]] = {}
    for i in sorted(range(len(ids)), key=ids.__getitem__):
        sequences.setdefault(re.split(r"[_.]", ids[i])[0], []).append(i)
    last = {i for places in sequences.values() for i in places[len(places) - int(len(places) * HELD) :]}
    return tuple(i for i in range(len(ids)) if (i in last) == held)
