"""Boundary and internal region (Table 5): distance of a pixel to the nearest other label, size of its object.

Distances are between pixel centres, so a pixel beside an edge has distance 1 (in Table 5 the boundary region is 7
pixels wide; the paper does not define the distance). Void pixels are never scored. With ``rim="edge"`` the void rim
counts as another label; with ``rim="filled"`` it is first given the nearest label, the lower class of two equally near.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import cv2
import filelock
import numpy as np
from numpy.typing import NDArray

from repro.config.errors import RegionError
from repro.config.io import atomic_file, reason
from repro.data.cache import Store
from repro.data.io import ordered

Labels = NDArray[np.uint8]
Rim = Literal["edge", "filled"]
Distance = Literal["euclidean", "chessboard"]

VOID = 255
"""The void label, and the bin of void pixels."""
REST = 41
"""The last distance bin: more than 40 pixels, or no other label in the image. Bin d holds (d - 1, d]."""
SIZES = 21
"""Number of size bins. Bin s holds objects of 2^s to 2^(s + 1) - 1 pixels, the last one larger ones too."""
_WIDEST = 100
_SLACK = 1e-3  # far above the rounding of a distance, far below the gap (1/80) after a whole one


def _checked(labels: NDArray[Any], rim: str, distance: str) -> Labels:
    """Return the label map as contiguous bytes; raise ``RegionError`` for an invalid map or option."""
    if labels.ndim != 2 or labels.dtype.kind not in "iu":  # noqa: PLR2004 - height and width
        msg = f"labels: needs a map (h, w) of whole numbers, got {labels.dtype} {labels.shape}"
        raise RegionError(msg)
    if labels.dtype != np.uint8 and labels.size and not 0 <= labels.min() <= labels.max() <= VOID:
        msg = f"labels: values must lie in 0..{VOID}, got {labels.min()}..{labels.max()}"
        raise RegionError(msg)
    if rim not in ("edge", "filled") or distance not in ("euclidean", "chessboard"):
        msg = f"regions: rim is edge or filled and distance euclidean or chessboard, got {rim!r} and {distance!r}"
        raise RegionError(msg)
    return np.ascontiguousarray(labels, dtype=np.uint8)


def _values(labels: Labels) -> list[int]:
    """Return the classes that occur, without void."""
    return [int(value) for value in np.flatnonzero(np.bincount(labels.reshape(-1), minlength=VOID + 1)[:VOID])]


def _transform(inside: NDArray[np.bool_], distance: str) -> NDArray[np.float32]:
    """Return the exact distance of each pixel to the nearest one outside the mask."""
    kind = (cv2.DIST_L2, cv2.DIST_MASK_PRECISE) if distance == "euclidean" else (cv2.DIST_C, cv2.DIST_MASK_3)
    return np.asarray(cv2.distanceTransform(inside.view(np.uint8), *kind), np.float32)


def fill_rim(labels: Labels, distance: Distance = "euclidean") -> Labels:
    """Return the map with every void pixel given the nearest label, the lower class of two equally near."""
    void = labels == VOID
    if not void.any() or void.all():
        return labels
    filled, nearest = labels.copy(), np.full(labels.shape, np.inf, np.float32)
    for value in _values(labels):
        away = _transform(labels != value, distance)
        closer = void & (away < nearest - _SLACK)
        filled[closer], nearest[closer] = value, away[closer]
    return filled


def _window(inside: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the bounding box of a mask, one pixel wider: it contains the nearest pixel outside the mask."""
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)


def _apart(labels: Labels) -> bool:
    """Whether void separates all classes: no two of them touch, not even at corners."""
    pairs = (
        (labels[1:], labels[:-1]),
        (labels[:, 1:], labels[:, :-1]),
        (labels[1:, 1:], labels[:-1, :-1]),
        (labels[1:, :-1], labels[:-1, 1:]),
    )
    return not any(((a != b) & (a != VOID) & (b != VOID)).any() for a, b in pairs)


def _patches(labels: Labels) -> Iterator[NDArray[np.bool_]]:
    """Yield masks that cover all classes, such that the nearest pixel outside a mask is the nearest other label.

    Where no two classes touch, the nearest other label is void, and one mask of all classes is enough.
    """
    values = _values(labels)
    if not values or (len(values) == 1 and not (labels == VOID).any()):
        return
    if len(values) > 1 and _apart(labels):
        yield labels != VOID
        return
    yield from (labels == value for value in values)


def distance_bins(labels: NDArray[Any], rim: Rim = "edge", distance: Distance = "euclidean") -> NDArray[np.uint8]:
    """Return each pixel's distance to the nearest pixel of another label, in bins.

    Args:
        labels: (h, w) label map, 255 = void.
        rim: whether the void rim counts as an edge or is filled first.
        distance: exact Euclidean, or chessboard.

    Returns:
        (h, w) bins: d = 1..40 holds distances in (d - 1, d], ``REST`` larger ones, ``VOID`` void pixels.

    Raises:
        RegionError: an invalid label map, or an unknown option.
    """
    given = _checked(labels, rim, distance)
    full = fill_rim(given, distance) if rim == "filled" else given
    bins = np.full(full.shape, REST, np.uint8)
    for inside in _patches(full):
        window = _window(inside)
        steps = np.ceil(_transform(inside[window].copy(), distance) - _SLACK).clip(max=REST)
        np.copyto(bins[window], steps.astype(np.uint8), where=inside[window])
    bins[given == VOID] = VOID
    return bins


def disk(within: int) -> NDArray[np.uint8]:
    """Return the Euclidean disk of radius ``within`` as a mask, (2 * within + 1) squared: 149 ones for 7 pixels."""
    y, x = np.ogrid[-within : within + 1, -within : within + 1]
    return np.asarray(x * x + y * y <= within * within, np.uint8)


@cache
def _cover(within: int) -> tuple[int, int, NDArray[np.uint8]]:
    """Return the radii of a square and a diamond whose Minkowski sum covers most of the disk, and the other offsets.

    For 7 pixels: 3, 3 and four offsets, so 149 comparisons become 14 + 15 + 4.
    """
    whole = disk(within)
    y, x = np.abs(np.mgrid[-within : within + 1, -within : within + 1])
    best = 0, 0, whole
    for square in range(within + 1):
        for diamond in range(within - square + 1):
            sides = np.maximum(x - square, 0) + np.maximum(y - square, 0) <= diamond
            left = (whole & ~sides).astype(np.uint8)
            if not (sides & (whole == 0)).any() and left.sum() < best[2].sum():
                best = square, diamond, left
    return best


def _spread(labels: Labels, within: int, distance: str) -> tuple[Labels, Labels]:
    """Return the highest and the lowest label within the given distance of each pixel."""
    both = []
    square, diamond, left = (within, 0, None) if distance == "chessboard" else _cover(within)
    for grow, join in ((cv2.dilate, np.maximum), (cv2.erode, np.minimum)):
        out = grow(labels, np.ones((2 * square + 1, 2 * square + 1), np.uint8))
        if diamond:
            out = grow(out, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), iterations=diamond)
        both.append(out if left is None or not left.any() else join(out, grow(labels, left)))
    return np.asarray(both[0], np.uint8), np.asarray(both[1], np.uint8)


def boundary_band(
    labels: NDArray[Any], within: int = 7, rim: Rim = "edge", distance: Distance = "euclidean"
) -> NDArray[np.bool_]:
    """Return the mask (h, w) of the pixels with another label within ``within`` pixels, exact as ``distance_bins``.

    Args:
        labels: (h, w) label map, 255 = void; void pixels are outside the band.
        within: radius in pixels, 1 to 100.
        rim: see ``distance_bins``.
        distance: see ``distance_bins``.

    Raises:
        RegionError: an invalid label map, or an unknown option.
    """
    given = _checked(labels, rim, distance)
    if not 1 <= within <= _WIDEST:
        msg = f"within: needs 1 to {_WIDEST} pixels, got {within}"
        raise RegionError(msg)
    if not given.size:
        return np.zeros(given.shape, np.bool_)
    highest, lowest = _spread(fill_rim(given, distance) if rim == "filled" else given, within, distance)
    band: NDArray[np.bool_] = highest != lowest
    band &= given != VOID
    return band


def region_codes(
    labels: NDArray[Any], rim: Rim = "edge", distance: Distance = "euclidean", background: int | None = 0
) -> NDArray[np.uint16]:
    """Return ``distance_bins`` and ``size_bins`` of each pixel as one number, (h, w), for ``region_counts``.

    Raises:
        RegionError: see ``distance_bins``.
    """
    codes = np.minimum(distance_bins(labels, rim, distance), REST + 1).astype(np.uint16)
    codes *= np.uint16(SIZES + 1)
    codes += np.minimum(size_bins(_checked(labels, rim, distance), background), SIZES)
    codes <<= np.uint16(1)  # the lowest bit: prediction correct or not
    return codes


def region_counts(
    labels: Labels, pred: NDArray[Any], codes: NDArray[np.uint16]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the correct and all pixels of one image per distance bin, (42, 2), and per size bin, (21, 2).

    Raises:
        RegionError: labels, prediction and ``codes`` differ in shape.
    """
    if not labels.shape == pred.shape == codes.shape:
        msg = f"labels {labels.shape}, prediction {pred.shape} and region codes {codes.shape} differ in shape"
        raise RegionError(msg)
    found = np.bincount((codes | (pred == labels)).reshape(-1), minlength=2 * (REST + 2) * (SIZES + 1))
    table = found.reshape(REST + 2, SIZES + 1, 2)
    table[..., 0] += table[..., 1]  # (wrong, correct) becomes (all, correct)
    return table.sum(axis=1)[: REST + 1, ::-1], table.sum(axis=0)[:SIZES, ::-1]


def size_bins(labels: Labels, background: int | None = 0) -> NDArray[np.uint8]:
    """Return the size bin of each pixel's object, (h, w); ``VOID`` for pixels of no object.

    An object is an 8-connected component of one class other than ``background``; bins are octaves of its area.
    """
    bins = np.full(labels.shape, VOID, np.uint8)
    for value in _values(labels):
        if value != background:
            inside = labels == value
            _, patch, stats, _ = cv2.connectedComponentsWithStats(inside.view(np.uint8), connectivity=8)
            area = stats[:, cv2.CC_STAT_AREA].clip(min=1)  # "outside" has area 0 where a class fills the image
            octave = np.log2(area).astype(np.uint8).clip(max=SIZES - 1)
            np.copyto(bins, octave[patch], where=inside)
    return bins


SCHEMA = 1
_CHECK = 2  # words of the checksum at the end
_LOG = logging.getLogger(__name__)
Codes = list[NDArray[np.uint16]]


def stored_region_codes(
    store: Store, rim: Rim, distance: Distance, background: int | None, threads: int = 0
) -> Codes | None:
    """Return the region codes of every image, views of a memory-mapped file in the store's folder; computed if missing.

    A file of wrong size or checksum is computed again, in ``threads`` threads (0: one per core, at most eight). None,
    with a warning, where the folder is not writable: each evaluation then computes them itself.
    """
    options = f"{rim}-{distance}-{'none' if background is None else background}"
    path = store.folder / f"places{SCHEMA}-{options}-{store.fingerprint[:16]}.bin"
    areas = store.sizes.prod(axis=1)
    try:
        if (whole := _mapped(path, int(areas.sum()))) is None:
            with filelock.FileLock(path.with_suffix(".lock")):
                if (whole := _mapped(path, int(areas.sum()))) is None:
                    _write(path, store, rim, distance, background, threads)
                    whole = _mapped(path, int(areas.sum()))
    except OSError as error:
        _LOG.warning("%s cannot be written (%s); regions are found anew for each evaluation", path, reason(error))
        return None
    if whole is None:
        _LOG.warning("%s cannot be read back; regions are found anew for each evaluation", path)
        return None
    parts = np.split(whole, areas.cumsum()[:-1])
    return [part.reshape(size) for part, size in zip(parts, store.sizes.tolist(), strict=True)]


def _mapped(path: Path, pixels: int) -> NDArray[np.uint16] | None:
    """Return the region codes of all pixels; None where the file is missing or damaged."""
    if not path.exists() or path.stat().st_size != 2 * (pixels + _CHECK):
        return None
    words = np.asarray(np.memmap(path, dtype=np.uint16, mode="r"))
    return (
        words[:pixels]
        if zlib.crc32(words[:pixels].data) == int.from_bytes(words[pixels:].tobytes(), "little")
        else None
    )


def _write(path: Path, store: Store, rim: Rim, distance: Distance, background: int | None, threads: int) -> None:
    """Compute the region codes in threads and write them."""

    def find(i: int) -> NDArray[np.uint16]:
        return region_codes(store.labels(i), rim, distance, background)

    checksum = 0
    with atomic_file(path) as file:
        for part in ordered(find, len(store), threads):
            checksum = zlib.crc32(part.data, checksum)
            file.write(part.data)
        file.write(checksum.to_bytes(2 * _CHECK, "little"))
