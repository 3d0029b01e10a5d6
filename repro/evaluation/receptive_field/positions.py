"""Positions at which receptive fields are measured: the innermost pixel of an object in a test image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from repro import data
from repro.config.errors import SpecError
from repro.data.dataset import Bytes, Dataset
from repro.results.field_areas import Settings


@dataclass(frozen=True)
class Spot:
    """An image (h, w, 3), a position (x, y) in it, the class and the area of the object there."""

    name: str
    image: Bytes
    at: Position
    label: int
    object_area: int


def choose(dataset: Dataset, settings: Settings) -> Iterator[Spot]:
    """Yield the positions of ``Settings.rule``; raise ``SpecError`` where the data set has too few such images."""
    found = 0
    for i in range(len(dataset)):
        image, labels = dataset.read(i)
        patch = largest(labels)
        if patch is not None and patch.sum() >= settings.smallest:
            x, y = inmost(patch)
            yield Spot(dataset.ids[i], image, (x, y), int(labels[y, x]), int(patch.sum()))
            found += 1
        if found == settings.images:
            return
    raise SpecError(
        f"{dataset.name}/{dataset.split}: {found} images have an object of {settings.smallest} pixels or more, not "
        f"{settings.images}; ask for fewer with --images or smaller ones with --smallest"
    )


AMONG = 200
"""Number of test images from which Figure 3's is chosen."""

Position = tuple[int, int]


def chosen(dataset: Dataset) -> tuple[int, Position, int]:
    """Return the image whose largest object has the median area: its index, the position (x, y), that area."""
    found = []
    for i in range(min(AMONG, len(dataset))):
        patch = largest(dataset.read(i)[1])
        if patch is not None:
            found.append((int(patch.sum()), i, patch))
    if not found:
        raise SpecError(f"{dataset.name}/{dataset.split}: no object in its first images; choose another data set")
    area, i, inside = sorted(found, key=lambda item: item[:2])[(len(found) - 1) // 2]
    return i, inmost(inside), area


def inmost(patch: Bytes) -> Position:
    """Return the pixel (x, y) of a mask (h, w) farthest from its outside, the image border included."""
    depth = cv2.distanceTransform(np.pad(patch, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)


def largest(labels: Bytes) -> Bytes | None:
    """Return the mask (h, w) of the largest 8-connected object (not background, not void); None without one."""
    best: Bytes | None = None
    for value in np.unique(labels):
        if value not in {0, data.IGNORE_INDEX}:
            _, patches, stats, _ = cv2.connectedComponentsWithStats((labels == value).astype(np.uint8), connectivity=8)
            n = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
            patch = np.asarray(patches == n, np.uint8)
            best = patch if best is None or patch.sum() > best.sum() else best
    return best
