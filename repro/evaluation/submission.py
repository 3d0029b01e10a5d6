"""Archives for the test servers of VOC (Tables 8, 10) and Cityscapes, written and validated."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from repro.config.errors import SubmissionError
from repro.config.io import through
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
    aside = path.with_name(f".{os.getpid()}.{path.name}")
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
    members: Iterable[tuple[str, bytes]], sizes: Sizes, prefix: str, suffix: str
) -> Iterator[tuple[str, Image.Image]]:
    """Yield every image by the name of its file; afterwards every id has been seen, once, at its size."""
    left = dict(sizes)
    for name, data in members:
        stem = name.removeprefix(prefix).removesuffix(suffix)
        if name != f"{prefix}{stem}{suffix}" or stem not in left:
            raise SubmissionError(f"{name} is no image of the test set, or is there twice; remove it")
        try:
            image = Image.open(io.BytesIO(data))
            image.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise SubmissionError(f"{name} cannot be read ({error}); write it again") from error
        if image.format != "PNG":
            raise SubmissionError(f"{name} is a {image.format} file by its content; write it as PNG")
        if (image.height, image.width) != (size := left.pop(stem)):
            have, want = f"{image.height}x{image.width}", f"{size[0]}x{size[1]}"
            raise SubmissionError(f"{name} is {have} but its image is {want} (h x w); predict at the original size")
        yield name, image
    if left:
        raise SubmissionError(
            f"{len(left)} of the test set's images have no prediction, the first is {min(left)}; add it"
        )


def _tar_members(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and (file := archive.extractfile(member)):
                    yield member.name, file.read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise SubmissionError(f"{path} is not a whole tar.gz archive ({error}); write it again") from error
    except OSError as error:  # gzip's own for a wrong checksum among them
        reason = error.strerror or error
        raise SubmissionError(f"{path} cannot be read ({reason}); give the archive that was written") from error


def _zip_members(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    yield info.filename, archive.read(info)
    except (zipfile.BadZipFile, zlib.error) as error:
        raise SubmissionError(f"{path} is not a whole zip archive ({error}); write it again") from error
    except OSError as error:
        reason = error.strerror or error
        raise SubmissionError(f"{path} cannot be read ({reason}); give the archive that was written") from error
