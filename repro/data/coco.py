"""COCO's instances as maps of VOC's 20 classes, for Stage-1 (section 4.2): layouts of 2014 and 2017."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from repro import published
from repro.data.dataset import IGNORE_INDEX, AbsentError, Bytes, DataError, Dataset, Item
from repro.data.files import find_home, list_folder, pick, read_image
from repro.data.palette import VOC_PALETTE
from repro.data.voc import CLASSES

SPLITS = ("train", "val", "trainval")
COUNTS = published.IMAGES["coco"]
"""Images with any of the 20 classes: what Stage-1 adds to the 10,582 of VOC and SBD (109,892 in all)."""
YEARS = ("2014", "2017")
_RENAMED = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}
NAMES = {_RENAMED.get(name, name): label for label, name in enumerate(CLASSES) if label}
"""COCO's name of each of the 20 classes -> VOC's label."""
Annotation = Mapping[str, Any]


@dataclass(frozen=True)
class _Entry:
    """One image of an annotation file: its id, file, size, and what is drawn on it."""

    name: str
    file: Path
    size: tuple[int, int]
    drawn: tuple[tuple[int, Annotation], ...]
    source: Path


def load(split: str, root: Path) -> Dataset:
    """Load the images of a split that hold any of the 20 classes.

    Below ``root``: ``coco``, ``COCO``, ``mscoco`` or the folder itself, with ``annotations/instances_train2014.json``
    and ``train2014`` (or 2017; 2014 is taken where both are there, and train + val of both years are the same images).
    A pixel of one instance has its class; of several, or of a crowd, 255; of none, background.

    Raises:
        DataError: a folder or file is missing, or the annotation file has none of the 20 classes.
    """
    home = find_home(root, "COCO", ("coco", "COCO", "mscoco"), "annotations")
    parts = ("train", "val") if split == "trainval" else (split,)
    year = _year(home, parts)
    entries = [entry for part in parts for entry in _entries(home, part + year)]

    def read(i: int) -> Item:
        return _read(entries[i])

    def files(i: int) -> tuple[Path, ...]:
        return entries[i].file, entries[i].source

    ids, palette = tuple(entry.name for entry in entries), VOC_PALETTE[: len(CLASSES)]
    return Dataset("coco", split, CLASSES, palette, ids, read, files, root=root, version=year)


def _annotations(home: Path, name: str) -> Path:
    return home / "annotations" / f"instances_{name}.json"


def _year(home: Path, parts: tuple[str, ...]) -> str:
    for year in YEARS:
        if all(_annotations(home, part + year).exists() for part in parts):
            return year
    wanted = " or ".join(_annotations(home, parts[-1] + year).name for year in YEARS)
    raise AbsentError(f"COCO in {home} lacks annotations/{wanted}; unpack the annotations of one year there")


def _entries(home: Path, name: str) -> list[_Entry]:
    path = _annotations(home, name)
    content = _parse(path)
    try:
        drawn = _drawn(content, path)
        images = [image for image in content["images"] if image["id"] in drawn]
        stems = [Path(image["file_name"]).stem for image in images]
        sizes = [(int(image["height"]), int(image["width"])) for image in images]
    except (KeyError, TypeError, AttributeError) as error:
        fault = f"{type(error).__name__}: {error}"
        raise DataError(
            f"annotations {path} are not laid out as COCO's ({fault}); use the published instances_*.json"
        ) from error
    files = pick(stems, list_folder(home / name), home / name, "the image")
    return [
        _Entry(stem, file, size, tuple(drawn[image["id"]]), path)
        for stem, file, size, image in zip(stems, files, sizes, images, strict=True)
    ]


def _drawn(content: dict[str, Any], path: Path) -> Mapping[int, list[tuple[int, Annotation]]]:
    """Return image id -> label and annotation of every instance of the 20 classes."""
    labels, drawn = _labels(content, path), defaultdict(list)
    for annotation in content["annotations"]:
        if annotation["category_id"] in labels:
            drawn[annotation["image_id"]].append((labels[annotation["category_id"]], annotation))
    return drawn


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        missing = [name for name in ("images", "annotations", "categories") if name not in content]
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"annotations {path} cannot be read ({error}); restore them from the archive") from error
    if missing:
        raise DataError(f"annotations {path} lack {', '.join(missing)}; use the published instances_*.json")
    return dict(content)


def _labels(content: dict[str, Any], path: Path) -> dict[int, int]:
    """Return category id -> VOC label; raise ``DataError`` where any of the 20 classes is missing."""
    labels = {c["id"]: NAMES[c["name"]] for c in content["categories"] if c.get("name") in NAMES}
    if missing := sorted(set(NAMES.values()) - set(labels.values())):
        first = CLASSES[missing[0]]
        raise DataError(f"{path} lacks {len(missing)} of the 20 classes of VOC ({first} first); use COCO's own file")
    return labels


def _read(entry: _Entry) -> Item:
    pixels = read_image(entry.file)
    if pixels.shape[:2] != entry.size:
        have, want = "x".join(map(str, pixels.shape[:2])), "x".join(map(str, entry.size))
        raise DataError(f"image {entry.file} is {have} but {entry.source} says {want} (h x w); use the published pair")
    try:
        return pixels, draw(entry.drawn, entry.size)
    except Exception as error:  # pycocotools raises bare exceptions
        raise DataError(
            f"annotations of {entry.name} in {entry.source} cannot be drawn ({error}); restore it"
        ) from error


def draw(drawn: tuple[tuple[int, Annotation], ...], size: tuple[int, int]) -> Bytes:
    """Return the labels (h, w) uint8 of (label, annotation) pairs: overlaps and crowds 255, the rest background."""
    labels = np.zeros(size, np.uint8)
    covered = np.zeros(size, np.bool_)
    for label, annotation in drawn:
        inside = _inside(annotation["segmentation"], size)
        labels[inside] = IGNORE_INDEX if annotation.get("iscrowd") else label
        labels[inside & covered] = IGNORE_INDEX
        covered |= inside
    return labels


def _inside(segmentation: Any, size: tuple[int, int]) -> NDArray[np.bool_]:  # noqa: ANN401 - polygons or run lengths
    """Return the pixels (h, w) of one instance."""
    if isinstance(segmentation, list):
        codes = rle.merge(rle.frPyObjects(segmentation, *size))
    elif isinstance(segmentation["counts"], list):
        codes = rle.frPyObjects(segmentation, *size)
    else:
        codes = segmentation
    decoded: NDArray[np.uint8] = rle.decode(codes)
    return decoded.astype(np.bool_)
