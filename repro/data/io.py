"""Find and decode the files of a data root; every fault is named by its path. Ordered results from threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from repro.config.errors import AbsentError, DataError
from repro.config.io import reading
from repro.config.machine import cores
from repro.data.dataset import IGNORE_INDEX, Bytes, Item
from repro.data.palette import VOC_CODING, Coding

LOSSLESS = (".png", ".tif", ".tiff", ".bmp", ".gif")
IMAGE_ENDINGS = (*LOSSLESS, ".jpg", ".jpeg", ".webp", ".ppm")
MASK_ENDINGS = (*IMAGE_ENDINGS, ".mat")
"""Lossy endings included: such a mask is refused with the reason when it is read, not reported as missing."""
_JUNK = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx"})
"""Files and folders that desktops leave behind, in lower case; names that begin with a dot are junk too."""
RESTORE = "restore it from the published archive"
_UNKNOWN = -1
_EIGHT_BITS, _SIXTEEN_BITS = 255.0, 65535.0


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


def is_junk(name: str) -> bool:
    """Whether a file or folder was left by a desktop: ``._a.png``, ``.DS_Store``, ``Thumbs.db``, ``desktop.ini``."""
    return name.startswith(".") or name.lower() in _JUNK


def list_folder(folder: Path, endings: Sequence[str] = MASK_ENDINGS) -> dict[str, Path]:
    """Return the files of a folder that have one of these endings (in either case) by their stem, in order of name.

    Raises:
        DataError: the folder is missing, or two of its files have one stem, so that either could be meant.
    """
    with reading(f"folder {folder}", "unpack the data set there"), os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not is_junk(entry.name))
    found: dict[str, str] = {}
    for name in names:
        stem, ending = os.path.splitext(name)  # noqa: PTH122 - a Path for each of 100,000 names takes seconds
        if ending.lower() not in endings:
            continue
        if stem in found:
            raise DataError(f"{folder} holds {found[stem]} and {name}, two files of one name; remove the wrong one")
        found[stem] = name
    return {stem: folder / name for stem, name in found.items()}


def read_list(path: Path) -> tuple[str, ...]:
    """Return the names that a list of images holds, one a line.

    A byte order mark, line ends of any system, known file endings and folders before the name are taken off; a line of
    several paths to one name (``/JPEGImages/a.jpg /SegmentationClass/a.png``) is that name.

    Raises:
        DataError: it is unreadable or empty, or a line holds something else; number and content of the line are said.
        AbsentError: it is missing.
    """
    with reading(f"split file {path}", RESTORE, UnicodeDecodeError, missing=AbsentError):
        text = _decoded(path.read_bytes())
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    names = tuple(_name(line, number, path) for number, line in lines if line)
    if not names:
        raise DataError(f"split file {path} is empty; restore it from the published archive")
    return names


def _decoded(content: bytes) -> str:
    """Decode UTF-8 or UTF-16 by its mark; joined files have marks within."""
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    return content.decode("utf-16" if utf16 else "utf-8").replace("\ufeff", "")


def _name(line: str, number: int, path: Path) -> str:
    """Return the name of an image that a line holds."""
    words = line.split()
    stems = {_stem(word) for word in words}
    name = min(stems)
    paths = len(words) == 1 or all("/" in word.replace("\\", "/") or _stem(word) != word for word in words)
    if len(stems) > 1 or not paths or not name.isprintable() or any(c in name for c in ",;:\"'|<>"):
        shown = line if len(line) <= 80 else f"{line[:80]}..."  # noqa: PLR2004 - a line of a terminal
        raise DataError(f"split file {path}, line {number}: {shown!r} is not the name of one image; write one a line")
    return name


def _stem(word: str) -> str:
    """Return the last part of a path, without a known ending."""
    last = word.replace("\\", "/").rsplit("/", 1)[-1]
    stem, ending = os.path.splitext(last)  # noqa: PTH122 - backslashes are separators here on every system
    return stem if ending.lower() in MASK_ENDINGS else last


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
    """Decode a picture of a data set into RGB (h, w, 3) uint8, as ``to_rgb``; raise ``DataError`` naming the path.

    The EXIF orientation is ignored: masks and boxes are drawn on the stored pixels.
    """

    def decode(image: Image.Image) -> Bytes:
        image.load()
        return to_rgb(image)

    return _open(path, decode)


def to_rgb(image: Image.Image) -> Bytes:
    """Return a picture as RGB (h, w, 3) uint8: alpha is laid over white, 16 bits and floats are scaled to 8 bits.

    Raises:
        ValueError: values that are negative, not finite, or above 16 bits.
    """
    if image.mode.startswith(("I", "F")):
        return _scaled(np.asarray(image, np.float64))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return np.array(image.convert("RGB"), np.uint8)


def _scaled(grey: NDArray[np.float64]) -> Bytes:
    """Return deep grey values (h, w) as RGB; the range is 16 bits, or 8 or 1 where no value needs more."""
    if not np.isfinite(grey).all() or grey.min(initial=0.0) < 0 or grey.max(initial=0.0) > _SIXTEEN_BITS:
        raise ValueError(f"its grey values go from {grey.min():g} to {grey.max():g}, and not from 0 to 65535 at most")
    most = grey.max(initial=0.0)
    top = _SIXTEEN_BITS if most > _EIGHT_BITS else _EIGHT_BITS if most > 1 else 1.0
    return np.repeat(np.round(grey * (255.0 / top)).astype(np.uint8)[..., None], 3, axis=2)


def read_ids(path: Path, codings: Sequence[Coding] = (VOC_CODING,)) -> Bytes:
    """Decode a mask file into class ids (h, w) uint8: grey values, or palette entries by their colours.

    Args:
        path: a file of a lossless format, by its content and not by its name.
        codings: the published colours of each id; a palette is read by the first that has all of its used colours.

    Raises:
        DataError: the format is lossy, the pixels are colours, or a palette has a colour that is no class's.
    """
    return _open(path, lambda image: _ids(image, path, codings))


def _ids(image: Image.Image, path: Path, codings: Sequence[Coding]) -> Bytes:
    if (why := _lossy(image)) is not None:
        raise DataError(f"mask {path} is {why}, in which labels cannot be kept; use the published PNG")
    if getattr(image, "n_frames", 1) > 1:
        raise DataError(f"mask {path} holds {getattr(image, 'n_frames', 1)} pictures; use the published PNG")
    tiles = getattr(image, "tile", None)
    raw = str(tiles[0][3]) if tiles else ""  # Pillow's name of how pixels are stored: "L;4" is four bits of grey
    image.load()
    if image.mode == "P":
        return _by_colour(np.array(image, np.uint8), image, path, codings)
    if image.mode not in {"L", "1"}:
        deep = image.mode.startswith(("I", "F"))
        held = "values of more than 8 bits" if deep else "colours"
        raise DataError(
            f"mask {path} holds {held} (mode {image.mode}) instead of class ids; use the palette or grey PNG"
        )
    ids = np.array(image.convert("L"), np.uint8)
    if (image.mode == "1" or "L;" in raw) and ids.any():
        raise DataError(
            f"mask {path} stores grey with fewer than 8 bits, where ids and shades cannot be told apart; use 8 bits"
        )
    return ids


def _lossy(image: Image.Image) -> str | None:
    """Return the lossy format of a picture, or None."""
    packed = str(image.info.get("compression", ""))
    if image.format == "TIFF" and ("jpeg" in packed or "webp" in packed):
        return f"a TIFF file with {packed} inside"
    return None if image.format in {"PNG", "TIFF", "BMP", "GIF", "PPM"} else f"a {image.format} file by its content"


def _by_colour(stored: Bytes, image: Image.Image, path: Path, codings: Sequence[Coding]) -> Bytes:
    """Return the ids (h, w) that palette entries (h, w) stand for."""
    flat = image.getpalette("RGB") or []
    entries = list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
    used = np.flatnonzero(np.bincount(stored.ravel())).tolist()
    colours = {i: entries[i] if i < len(entries) else None for i in used}
    if any(coding.keeps(colours) for coding in codings):
        return stored
    chosen = next(filter(None, (coding.readings(colours) for coding in codings)), ())
    if not chosen:
        raise DataError(f"mask {path}: {codings[0].fault(colours)}; use the published masks")
    if len(chosen) > 1:
        raise DataError(
            f"mask {path}: the palette's colours {sorted(set(colours.values()), key=str)} are shades of ids and "
            "colours of other classes; use the published masks"
        )
    table = np.zeros(256, np.uint8)
    table[list(chosen[0])] = list(chosen[0].values())
    return table[stored]


def _open(path: Path, use: Callable[[Image.Image], Bytes]) -> Bytes:
    with (
        reading(f"image {path}", RESTORE, SyntaxError, ValueError, Image.DecompressionBombError),
        Image.open(path) as image,
    ):
        return use(image)


Table = NDArray[np.int16]


def table(pairs: dict[int, int]) -> Table:
    """Return a look-up table (256,) from stored ids to labels; ids outside ``pairs`` are refused by ``translate``."""
    lut = np.full(256, _UNKNOWN, dtype=np.int16)
    for stored, label in pairs.items():
        lut[stored] = label
    return lut


def plain_table(num_classes: int) -> Table:
    """Return the table of ids that are labels already: the classes and 255."""
    return table({i: i for i in (*range(num_classes), IGNORE_INDEX)})


def translate(ids: Bytes, lut: Table, path: Path) -> Bytes:
    """Turn stored ids (h, w) into labels (h, w) uint8; raise ``DataError`` for an id that the table lacks."""
    seen = np.flatnonzero(np.bincount(ids.ravel(), minlength=256))
    bad = [int(i) for i in seen if lut[i] == _UNKNOWN]
    if bad:
        raise DataError(f"mask {path} holds label {bad[0]}, which is outside the classes; use the published masks")
    return lut.astype(np.uint8)[ids]


def read_pair(image: Path, mask: Path | None, lut: Table, coding: Coding) -> Item:
    """Decode an image and its mask, which must have one size; without a mask every pixel is void."""
    pixels = read_image(image)
    if mask is None:
        return pixels, np.full(pixels.shape[:2], IGNORE_INDEX, dtype=np.uint8)
    return label_pair(pixels, read_ids(mask, (coding,)), lut, image, mask)


def label_pair(pixels: Bytes, ids: Bytes, lut: Table, image: Path, mask: Path) -> Item:
    """Return an image with the labels of its stored ids; raise ``DataError`` where the mask has another size."""
    if ids.shape != pixels.shape[:2]:
        have, want = "x".join(map(str, ids.shape)), "x".join(map(str, pixels.shape[:2]))
        raise DataError(f"mask {mask} is {have} but its image {image} is {want} (h x w); use the published pair")
    return pixels, translate(ids, lut, mask)


T = TypeVar("T")
MOST = 8
_AHEAD = 4


def ordered(function: Callable[[int], T], count: int, workers: int = 0) -> Iterator[T]:
    """Yield ``function(0)``, ``function(1)``, ... in order, computed ahead in threads; memory is bounded.

    Args:
        function: called in threads; its exception is raised here, in order.
        count: number of calls.
        workers: threads; 0: one a core, eight at most.
    """
    workers = workers or min(MOST, cores())
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for i in range(count):
                waiting.append(pool.submit(function, i))
                if len(waiting) > _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
