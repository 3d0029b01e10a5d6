"""ImageNet in folders named by wnid, short side 256 (section 4.2.1: 224 of 256)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from repro.config.dataset_info import DatasetInfo
from repro.config.errors import DataError
from repro.config.io import reading
from repro.data.dataset import Bytes, Dataset, Item
from repro.data.io import IMAGE_ENDINGS, find_home, is_junk, list_folder, read_image

SHORT_SIDE = 256
_COLUMNS = 3


def load(info: DatasetInfo, split: str, root: Path) -> Dataset:
    """Load ``root``'s ``imagenet/<split>/<wnid>/*.JPEG`` (or ``ILSVRC2012``, or the folder itself).

    A class's index is its line in ``labels.tsv`` (index, wnid, name) where that file exists, else its place among the
    sorted wnids of ``train`` (or of the split itself), which is torchvision's order when all 1,000 are there.

    Raises:
        DataError: the folder is missing, or a wnid is not in ``labels.tsv``.
    """
    home = find_home(root, "ImageNet", ("imagenet", "ImageNet", "ILSVRC2012"), split)
    wnids, names = _classes(home, split)
    folders = _subfolders(home / split)
    if unknown := [name for name in folders if name not in wnids]:
        raise DataError(f"{home / split / unknown[0]} is not in {home / 'labels.tsv'}; remove it or mend the list")
    found = {name: list_folder(home / split / name, IMAGE_ENDINGS) for name in folders}
    paths = [(path, wnids[name]) for name, files in found.items() for path in files.values()]

    def read(i: int) -> Item:
        return shrink(read_image(paths[i][0])), paths[i][1]

    ids = tuple(f"{path.parent.name}/{path.stem}" for path, _ in paths)
    lists = (home / "labels.tsv",) if (home / "labels.tsv").exists() else ()
    return Dataset(
        info.name, split, names, info.palette, ids, read, lambda i: (paths[i][0],),
        kind="classification", root=root, version=info.version, lists=lists,
    )  # fmt: skip


def _classes(home: Path, split: str) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return wnid -> index, and the names in the order of the indices."""
    path = home / "labels.tsv"
    if not path.exists():
        wnids = _subfolders(home / ("train" if (home / "train").is_dir() else split))
        return {name: i for i, name in enumerate(wnids)}, wnids
    with reading(path, "mend it, or remove it for the order of wnids", UnicodeDecodeError):
        rows = [line.split("\t") for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if any(len(row) < _COLUMNS for row in rows) or [row[0] for row in rows] != [str(i) for i in range(len(rows))]:
        raise DataError(f"{path} must hold index, wnid and name on every line, indices from 0 on; mend it")
    if twice := [wnid for wnid, count in Counter(row[1] for row in rows).items() if count > 1]:
        raise DataError(f"{path} lists {twice[0]} twice; mend it")
    return {row[1]: i for i, row in enumerate(rows)}, tuple(row[2] for row in rows)


def _subfolders(folder: Path) -> tuple[str, ...]:
    found = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not is_junk(path.name)))
    if not found:
        raise DataError(f"folder {folder} holds no class folders; unpack ImageNet there, one folder a wnid")
    return found


def shrink(image: Bytes, short_side: int = SHORT_SIDE) -> Bytes:
    """Resize an image (h, w, 3) so that its shorter side is 256; one that has it already is left as it is."""
    h, w = image.shape[:2]
    if min(h, w) == short_side:
        return image
    longer = int(short_side * max(h, w) / min(h, w))
    size = (longer, short_side) if w > h else (short_side, longer)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
