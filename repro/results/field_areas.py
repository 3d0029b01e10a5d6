"""Areas of valid receptive fields, stored beside the record whose weights they were measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from repro.config.errors import RecordError
from repro.config.io import atomic_write
from repro.results import sealed

FILE = "field_areas.json"
SCHEMA = 2
"""Of the files that are written: 2 has a checksum of itself."""
READABLE = (1, 2)
_MOST = 1 << 24
_LARGEST = 1 << 16
"""Pixels of a side of an image."""


@dataclass(frozen=True)
class Settings:
    """Settings of the measurement. Two sets of areas are compared only where these are equal."""

    images: int = 16
    """Number of images: the first of the test set that have an object of ``smallest`` pixels or more."""
    smallest: int = 1000
    """Pixels of an image's largest object below which the image is passed over."""
    occluder: int = 11
    stride: int = 3
    threshold: float = 0.2
    """Share of the largest change above which an occluder belongs to the field."""

    @property
    def rule(self) -> str:
        """The choice of images, positions and scores in one sentence."""
        return (
            f"the first {self.images} test images whose largest object has {self.smallest} pixels or more, at that "
            "object's inmost pixel; the score watched is that of the object's true class"
        )


@dataclass(frozen=True)
class Field:
    """One field: the image, the position (x, y), the object there, and both areas in pixels."""

    image: str
    at: tuple[int, int]
    label: int
    object_area: int
    area: float


@dataclass(frozen=True)
class Areas:
    """The fields of one trained network; ``size`` is the images' height and width."""

    record: str
    settings: Settings
    size: tuple[int, int]
    fields: tuple[Field, ...]

    @property
    def mean(self) -> float:
        """Mean area in pixels."""
        return fmean(field.area for field in self.fields)

    @property
    def object_area(self) -> float:
        """Mean area of the objects, in pixels."""
        return fmean(field.object_area for field in self.fields)


def write(folder: Path, areas: Areas) -> Path:
    """Store areas in a record's folder, over earlier ones; raise ``RecordError`` where the disk refuses."""
    path = folder / FILE
    tree = {"schema": SCHEMA, "rule": areas.settings.rule, **asdict(areas)}
    try:
        atomic_write(path, sealed.seal(tree))
    except OSError as error:
        raise RecordError(f"{path}: cannot be written ({error.strerror or error}); free it and run again") from error
    return path


def read(folder: Path) -> Areas | None:
    """Return the areas in a record's folder, None where there are none; raise ``RecordError`` for a damaged file."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        tree = sealed.read(path, _MOST)
        if fault := _fault(tree):
            raise ValueError(fault)  # noqa: TRY301 - becomes the sentence below
        fields = tuple(_field(part) for part in tree["fields"])
        areas = Areas(str(tree["record"]), Settings(**tree["settings"]), (tree["size"][0], tree["size"][1]), fields)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise RecordError(f"{path}: unreadable ({error}); delete it and measure again with: repro vrf-area") from error
    return areas


def _fault(tree: Any) -> str:  # noqa: ANN401 - a tree of plain values
    """Return why a tree holds no areas, empty where it does; it may raise as ``read`` expects."""
    if why := sealed.unreadable(tree, READABLE):
        return why
    if not tree["fields"]:
        return "no field"
    if not all(type(side) is int and 0 < side <= _LARGEST for side in tree["size"]):
        return f"size {tree['size']} is that of no image"
    return ""


def _field(tree: Mapping[str, Any]) -> Field:
    return replace(Field(**tree), at=(int(tree["at"][0]), int(tree["at"][1])), area=float(tree["area"]))
