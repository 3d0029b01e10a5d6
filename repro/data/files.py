"""Finding and decoding the files of a data root; every fault named by its path."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from repro.data.dataset import IGNORE_INDEX, AbsentError, Bytes, DataError, Item

IMAGE_ENDINGS = (".jpg", ".png", ".jpeg", ".JPEG", ".JPG", ".PNG")
_UNKNOWN = -1


def find_home(root: Path, what: str, places: Iterable[str], marker: str) -> Path:
    """Return the first of ``root / place`` that holds ``marker``, or ``root`` itself.

    Raises:
        DataError: the root is missing.
        AbsentError: it holds none of them.
    """
    if not root.is_dir():
        raise DataError(f"data root {root} is not a folder; give an existing one by --data-root or REPRO_DATA")
    tried = [root / place for place in places] + [root]
    for home in tried:
        if (home / marker).exists():
            return home
    wanted = " or ".join(str(home / marker) for home in tried)
    raise AbsentError(f"{what} is not in data root {root}: there is no {wanted}; unpack it there (docs/data.md)")


def list_folder(folder: Path) -> dict[str, Path]:
    """Return the files of a folder by their stem; raise ``DataError`` where it is missing."""
    try:
        with os.scandir(folder) as entries:
            return {Path(e.name).stem: folder / e.name for e in sorted(entries, key=lambda e: e.name) if _wanted(e)}
    except OSError as error:
        raise DataError(f"folder {folder} cannot be read ({error.strerror}); unpack the data set there") from error


def _wanted(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".")


def read_list(path: Path) -> tuple[str, ...]:
    """Return the first word of each line of a split file.

    Raises:
        DataError: it is unreadable or empty.
        AbsentError: it is missing.
    """
    try:
        words = tuple(line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        kind = AbsentError if isinstance(error, FileNotFoundError) else DataError
        reason = getattr(error, "strerror", None) or error
        raise kind(f"split file {path} cannot be read ({reason}); restore it from the published archive") from error
    if not words:
        raise DataError(f"split file {path} is empty; restore it from the published archive")
    return words


def pick(names: Sequence[str], found: dict[str, Path], folder: Path, what: str) -> tuple[Path, ...]:
    """Return the file of each name; raise ``DataError`` naming the first one that has none."""
    missing = [name for name in names if name not in found]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(
            f"{what} of {missing[0]}{more} is missing in {folder}; restore it, or take the image out of the split"
        )
    return tuple(found[name] for name in names)


def read_image(path: Path) -> Bytes:
    """Decode a JPEG or PNG file into RGB (h, w, 3) uint8; raise ``DataError`` naming the path."""
    with_faults = _open(path, lambda image: image.convert("RGB"))
    return np.asarray(with_faults, dtype=np.uint8)


def read_ids(path: Path) -> Bytes:
    """Decode a mask file into the ids (h, w) uint8 it stores, palette or grey; refuse a mask of colours."""
    image = _open(path, lambda image: image.copy())
    if image.mode not in {"P", "L", "1"}:
        raise DataError(
            f"mask {path} holds colours (mode {image.mode}) instead of class ids; use the palette or grey PNG"
        )
    return np.array(image, dtype=np.uint8)


def _open(path: Path, use: Callable[[Image.Image], Image.Image]) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return use(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"image {path} cannot be read ({reason}); restore it from the published archive") from error


def table(pairs: dict[int, int]) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Return a look-up table (256,) from stored ids to labels; ids outside ``pairs`` are refused by ``translate``."""
    lut = np.full(256, _UNKNOWN, dtype=np.int16)
    for stored, label in pairs.items():
        lut[stored] = label
    return lut


def plain_table(num_classes: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Return the table of ids that are labels already: the classes and 255."""
    return table({i: i for i in (*range(num_classes), IGNORE_INDEX)})


def translate(ids: Bytes, lut: np.ndarray[tuple[int], np.dtype[np.int16]], path: Path) -> Bytes:
    """Turn stored ids (h, w) into labels (h, w) uint8; raise ``DataError`` for an id that the table lacks."""
    seen = np.flatnonzero(np.bincount(ids.ravel(), minlength=256))
    bad = [int(i) for i in seen if lut[i] == _UNKNOWN]
    if bad:
        raise DataError(f"mask {path} holds label {bad[0]}, which is outside the classes; use the published masks")
    return lut.astype(np.uint8)[ids]


def read_pair(image: Path, mask: Path | None, lut: np.ndarray[tuple[int], np.dtype[np.int16]]) -> Item:
    """Decode an image and its mask, which must have one size; without a mask every pixel is void."""
    pixels = read_image(image)
    if mask is None:
        return pixels, np.full(pixels.shape[:2], IGNORE_INDEX, dtype=np.uint8)
    ids = read_ids(mask)
    same_size(pixels, ids, image, mask)
    return pixels, translate(ids, lut, mask)


def same_size(pixels: Bytes, ids: Bytes, image: Path, mask: Path) -> None:
    """Raise ``DataError`` where a mask has another size than its image."""
    if ids.shape != pixels.shape[:2]:
        have, want = "x".join(map(str, ids.shape)), "x".join(map(str, pixels.shape[:2]))
        raise DataError(f"mask {mask} is {have} but its image {image} is {want} (h x w); use the published pair")
