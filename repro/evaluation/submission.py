"""Archives for the test servers of VOC (Tables 8, 10) and Cityscapes, written and validated."""

from __future__ import annotations

import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from repro.config.console import clean
from repro.config.errors import SubmissionError
from repro.config.io import aside_of, through
from repro.data import cityscapes, voc
from repro.data.dataset import Bytes, Dataset
from repro.data.palette import VOC_PALETTE, png_bytes

VOC_FOLDER = "results/VOC2012/Segmentation/comp6_test_cls"
Sizes = Mapping[str, tuple[int, int]]
"""Image id -> (height, width) of the image."""
Predictions = Iterable[tuple[str, Bytes]]
"""Image id, and labels (h, w) uint8: classes of ``Dataset.classes``."""


def image_sizes(dataset: Dataset) -> dict[str, tuple[int, int]]:
    """Return the size of every image from its file's head, nothing decoded."""
    sizes = {}
    for i, name in enumerate(dataset.ids):
        with Image.open(dataset.sources(i)[0]) as image:
            sizes[name] = (image.height, image.width)
    return sizes


def write_voc(predictions: Predictions, sizes: Sizes, path: Path) -> Path:
    """Write ``path`` (.tar.gz) with one palette PNG an image, validate it, and return it.

    Raises:
        SubmissionError: an image is missing, unknown or of another size, or a label is outside the 21 classes.
    """

    def fill(aside: Path) -> None:
        with tarfile.open(aside, "w:gz", compresslevel=6) as archive:
            for name, labels in predictions:
                data = png_bytes(labels, VOC_PALETTE)
                member = tarfile.TarInfo(f"{VOC_FOLDER}/{name}.png")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))

    return _written(path, fill, lambda aside: check_voc(aside, sizes))


def write_cityscapes(predictions: Predictions, sizes: Sizes, path: Path) -> Path:
    """Write ``path`` (.zip) with one grey PNG of label ids an image (``<id>_leftImg8bit.png``), validate and return it.

    Raises:
        SubmissionError: an image is missing, unknown or of another size, or a label is outside the 19 classes.
    """

    def fill(aside: Path) -> None:
        with zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
            for name, labels in predictions:
                archive.writestr(f"{name}_leftImg8bit.png", png_bytes(cityscapes.to_label_ids(labels)))

    return _written(path, fill, lambda aside: check_cityscapes(aside, sizes))


def _written(path: Path, fill: Callable[[Path], None], validate: Callable[[Path], None]) -> Path:
    """Write aside, validate, rename; nothing is left behind where either fails."""
    aside = aside_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fill(aside)
        validate(aside)
        through(aside)
        aside.replace(path)
        through(path.parent)
    except OSError as error:
        raise SubmissionError(f"{path} cannot be written ({error.strerror or error}); free space") from error
    finally:
        aside.unlink(missing_ok=True)
    return path


def check_voc(path: Path, sizes: Sizes) -> None:
    """Raise ``SubmissionError`` unless an archive holds what VOC's server wants, and nothing else."""
    prefix = f"{VOC_FOLDER}/"
    for name, image in _images(_tar_members(path), sizes, prefix, ".png"):
        if image.mode != "P" or image.getpalette("RGB")[: 3 * len(voc.CLASSES)] != _flat(VOC_PALETTE):  # type: ignore[index]
            raise SubmissionError(
                f"{name} has no palette of VOC's colours; write it by repro.evaluation.submission.write_voc"
            )
        if (worst := int(np.asarray(image).max())) >= len(voc.CLASSES):
            raise SubmissionError(f"{name} holds label {worst}; VOC's server takes 0 to {len(voc.CLASSES) - 1}")


def check_cityscapes(path: Path, sizes: Sizes) -> None:
    """Raise ``SubmissionError`` unless an archive holds label ids of the 19 classes for every image, no more."""
    known = np.zeros(256, np.bool_)
    known[list(cityscapes.TO_LABEL_ID.values())] = True
    highest = 0
    for name, image in _images(_zip_members(path), sizes, "", "_leftImg8bit.png"):
        if image.mode != "L":
            raise SubmissionError(f"{name} is not an 8-bit grey PNG (mode {image.mode}); write label ids, not colours")
        ids = np.asarray(image)
        if not known[ids].all():
            bad = int(ids[~known[ids]][0])
            raise SubmissionError(
                f"{name} holds id {bad}, no label id of the 19 classes; train ids must be turned back"
            )
        highest = max(highest, int(ids.max()))
    if highest < len(cityscapes.CLASSES):
        raise SubmissionError(f"no id in {path.name} is above {highest}: these are train ids; turn them into label ids")


def _flat(palette: tuple[tuple[int, int, int], ...]) -> list[int]:
    return [value for colour in palette[: len(voc.CLASSES)] for value in colour]


def _images(
    members: Iterable[tuple[str, int, Callable[[], bytes]]], sizes: Sizes, prefix: str, suffix: str
) -> Iterator[tuple[str, Image.Image]]:
    """Yield every image by the name of its file; afterwards every id has been seen, once, at its size."""
    left = dict(sizes)
    for raw, length, read in members:
        name = clean(raw)
        stem = raw.removeprefix(prefix).removesuffix(suffix)
        if raw != f"{prefix}{stem}{suffix}" or stem not in left:
            raise SubmissionError(f"{name} is no image of the test set, or is there twice; remove it")
        size = left.pop(stem)
        if length > (most := 2 * size[0] * size[1] + SPARE_BYTES):
            raise SubmissionError(f"{name} holds {length} bytes, more than a label map of its image can ({most})")
        try:
            image = Image.open(io.BytesIO(read()))
            have = (image.height, image.width)
            if image.format == "PNG" and have == size:
                image.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            if isinstance(error, SubmissionError):
                raise
            raise SubmissionError(f"{name} cannot be read ({clean(str(error))}); write it again") from error
        if image.format != "PNG":
            raise SubmissionError(f"{name} is a {image.format} file by its content; write it as PNG")
        if have != size:
            is_, want = f"{have[0]}x{have[1]}", f"{size[0]}x{size[1]}"
            raise SubmissionError(f"{name} is {is_} but its image is {want} (h x w); predict at the original size")
        yield name, image
    if left:
        raise SubmissionError(
            f"{len(left)} of the test set's images have no prediction, the first is {min(left)}; add it"
        )


SPARE_BYTES = 1 << 20
"""Of a PNG file, beyond its pixels: palette and text."""
BLOCK = 512
"""Of a tar archive, which ends with a block of zeros at least."""
DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error, UnicodeError, ValueError,
    KeyError, IndexError, OverflowError, RecursionError, NotImplementedError, RuntimeError,
)  # fmt: skip
"""Errors of Python's readers on archives that are damaged, encrypted, or packed in a way that they do not know."""
MAGIC = {
    b"\x1f\x8b": "gzip", b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"PK": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"7z": "7z",
}  # fmt: skip


def _kind(path: Path) -> str:
    """Return what a file is by its first bytes; raise ``SubmissionError`` where it is no file, or cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SubmissionError(f"{path} cannot be read (not a regular file); give the archive that was written")
        with path.open("rb") as file:
            head = file.read(BLOCK)
    except OSError as error:
        reason = error.strerror or error
        raise SubmissionError(f"{path} cannot be read ({reason}); give the archive that was written") from error
    found = next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), "")
    return found or ("tar" if head[257:262] == b"ustar" else "unknown")


def _check_kind(path: Path, want: str, name: str) -> None:
    if (kind := _kind(path)) != want:
        have = "of no known kind" if kind == "unknown" else f"a {kind} file"
        raise SubmissionError(f"{path} is {have} by its content, not a {name} archive; write it again")


@contextmanager
def _reading(path: Path, name: str) -> Iterator[None]:
    """Turn an error of a reader on a damaged archive into one sentence."""
    try:
        yield
    except SubmissionError:
        raise
    except DAMAGE as error:
        said = clean(" ".join(str(error).split())) or type(error).__name__
        raise SubmissionError(f"{path} is not a whole {name} archive ({said}); write it again") from error
    except OSError as error:  # gzip's own for a wrong checksum among them
        reason = error.strerror or error
        raise SubmissionError(f"{path} cannot be read ({reason}); give the archive that was written") from error


class _Bounded(gzip.GzipFile):
    """A stream that gives no more at once than a header or a label map needs: tarfile reads what a header asks for."""

    most = SPARE_BYTES

    def read(self, size: int | None = -1) -> bytes:
        """Read; raise ``ValueError`` where more is asked for."""
        if size is None or not 0 <= size <= self.most:
            raise ValueError(f"a header that asks for {size} bytes")
        return super().read(size)


def _tar_members(path: Path) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    name = "tar.gz"
    _check_kind(path, "gzip", name)
    with _reading(path, name), _Bounded(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:
            if not (member.isreg() or member.isdir()):
                raise SubmissionError(f"{clean(member.name)} is a link or a device in {path}, not a file; remove it")
            file = archive.extractfile(member)
            if file is not None:
                stream.most = max(SPARE_BYTES, member.size)  # read only where the size was found right
                yield member.name, member.size, _reading(path, name)(file.read)
                stream.most = SPARE_BYTES
        stream.seek(archive.offset)
        ends = len(first := stream.read(BLOCK)) == BLOCK and not first.strip(b"\0")
        while ends and (more := stream.read(SPARE_BYTES)):  # to the end, where gzip compares its checksum
            ends = not more.strip(b"\0")
        if not ends:
            raise SubmissionError(f"{path} is not a whole tar.gz archive (its end is missing); write it again")


def _zip_members(path: Path) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    _check_kind(path, "zip", "zip")
    with _reading(path, "zip"), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                mode = info.external_attr >> 16
                if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
                    raise SubmissionError(f"{clean(info.filename)} is a link or a device in {path}; remove it")
                yield info.filename, info.file_size, _reading(path, "zip")(partial(archive.read, info))
