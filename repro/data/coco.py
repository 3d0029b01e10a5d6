"""COCO's instances as maps of VOC's 20 classes, for Stage-1 (section 4.2): layouts of 2014 and 2017."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from repro.config import dataset_info
from repro.config.dataset_info import DatasetInfo
from repro.config.errors import AbsentError, DataError
from repro.config.io import reading
from repro.data.dataset import IGNORE_INDEX, Bytes, Dataset, Item
from repro.data.io import IMAGE_ENDINGS, find_home, list_folder, pick, read_image

CLASSES = dataset_info.get("coco").classes
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
OUTSIDE = 2.0
"""Pixels that a published polygon may lie outside its image (rounding); pycocotools cuts them off."""
_TRIANGLE = 6
_LONGEST = 30
"""Bits of the longest run length that pycocotools holds."""


@dataclass(frozen=True)
class _Entry:
    """One image of an annotation file: id, file, size, and the labelled annotations."""

    name: str
    file: Path
    size: tuple[int, int]
    drawn: tuple[tuple[int, Annotation], ...]
    source: Path


def load(info: DatasetInfo, split: str, root: Path) -> Dataset:
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

    ids = tuple(entry.name for entry in entries)
    return Dataset(
        info.name, split, info.classes, info.palette, ids, read, files, root=root, version=f"{info.version} {year}"
    )


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
    except DataError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        fault = f"{type(error).__name__}: {error}"
        raise DataError(
            f"annotations {path} are not laid out as COCO's ({fault}); use the published instances_*.json"
        ) from error
    if twice := [i for i, count in Counter(image["id"] for image in images).items() if count > 1]:
        raise DataError(f"annotations {path} have two images of id {twice[0]}; use the published instances_*.json")
    files = pick(stems, list_folder(home / name, IMAGE_ENDINGS), home / name, "the image")
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
    with reading(f"annotations {path}", "restore them from the archive", ValueError, TypeError, RecursionError):
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        missing = [name for name in ("images", "annotations", "categories") if name not in content]
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
        inside = _inside(annotation, size)
        labels[inside] = IGNORE_INDEX if annotation.get("iscrowd") else label
        labels[inside & covered] = IGNORE_INDEX
        covered |= inside
    return labels


def _inside(annotation: Annotation, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels (h, w) of one instance; raise ``DataError`` naming the annotation that cannot be drawn."""
    segmentation = annotation["segmentation"]
    try:
        if isinstance(segmentation, list):
            codes = rle.merge(rle.frPyObjects(_polygons(segmentation, size), *size))
        else:
            codes = rle.frPyObjects({"size": list(size), "counts": _runs(segmentation, size)}, *size)
        decoded: NDArray[np.uint8] = rle.decode(codes)
    except Exception as error:  # pycocotools raises bare exceptions
        raise DataError(f"annotation {annotation.get('id', 'without id')}: {error}") from error
    return decoded.astype(np.bool_)


def _polygons(segmentation: list[Any], size: tuple[int, int]) -> list[list[float]]:
    """Return the polygons of an instance; raise ``DataError`` for one that pycocotools must not be given.

    It takes memory by the length of the outline, and ends the process where a coordinate is not a number.
    """
    limits = np.array([size[1] + OUTSIDE, size[0] + OUTSIDE], np.float64)
    if not segmentation:
        raise DataError("it has no polygon")
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < _TRIANGLE or len(polygon) % 2:
            length = len(polygon) if isinstance(polygon, list) else polygon
            raise DataError(f"a polygon has {length} numbers, where x and y of three points are the fewest")
        try:
            points = np.array(polygon, np.float64).reshape(-1, 2)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"a polygon does not hold numbers ({error})") from error
        bad = ~((points >= -OUTSIDE) & (points <= limits))
        if bad.any():
            raise DataError(f"the coordinate {points[bad][0]:g} lies outside its image of {size[0]}x{size[1]} (h x w)")
    return segmentation


def _runs(segmentation: Any, size: tuple[int, int]) -> list[int]:  # noqa: ANN401 - whatever a JSON file holds
    """Return the run lengths of an instance; raise ``DataError`` unless they cover the image exactly."""
    if not isinstance(segmentation, dict) or not {"counts", "size"} <= segmentation.keys():
        raise DataError("its segmentation is neither polygons nor run lengths")
    if list(segmentation["size"]) != list(size):
        raise DataError(f"its run lengths are for {segmentation['size']}, its image is {list(size)} (h, w)")
    counts = segmentation["counts"]
    runs = counts if isinstance(counts, list) else _unpacked(str(counts))
    if not all(isinstance(run, int) and run >= 0 for run in runs) or sum(runs) != size[0] * size[1]:
        raise DataError(f"its run lengths do not sum to the {size[0] * size[1]} pixels of its image")
    return list(runs)


def _unpacked(text: str) -> list[int]:
    """Decode COCO's packed run lengths: groups of 5 bits; from the third run on, differences to the run two before.

    Raises:
        DataError: a character that is not of that form, or an end within a run.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > _LONGEST:  # noqa: PLR2004 - six bits: five and whether more follow
            raise DataError("its packed run lengths are damaged")
        value |= (code & 0x1F) << shift
        shift += 5
        if not code & 0x20:
            value -= (1 << shift) if code & 0x10 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))  # noqa: PLR2004 - as the form has it
            value = shift = 0
    if shift:
        raise DataError("its packed run lengths end within a run")
    return runs
