"""Faults of valid labels: ids shifted by one, masks resized by interpolation, classes of another pixel share.

``look`` measures one label map, ``faults`` judges all maps of a split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repro.data.dataset import IGNORE_INDEX, Bytes
from repro.formatting import many

TOLERANCE = 0.05
"""Of a class's published share, how far it may be off in a whole split: halving by the nearest pixel moves a class by
1.2 % at most (CamVid, VOC), resizing by interpolation moves one class at least by 13 %."""
RIMS = 0.06
"""Share of a mask's edges at which a label between the other two lies: 0.035 at most in the masks of CamVid and VOC,
0.1 to 0.75 in the median of interpolated ones."""
_FEWEST = 20
"""Edges from which the share of rims is judged."""
_BUSY = 0.5
"""Share of edges from which a map is no map of objects, and has no rims."""
CLEAR = 0.5
"""Mean log-likelihood ratio a pixel, in nats, from which ids are shifted: 0.0 is exceeded by none of CamVid's masks and
by 1.5 % of VOC's, CLEAR by 0.8 %."""
_FILES, _PART = 3, 0.05
"""Number and part of the masks that must look shifted where single masks may do so by chance (VOC)."""
_NAMED = 3


@dataclass(frozen=True)
class Look:
    """One map of labels: pixels of each class and, last, of void (classes + 1,); edges, and labels in between there."""

    name: str
    pixels: NDArray[np.int64]
    edges: int
    between: int
    places: int
    """Pixels that have neighbours on both sides, along rows and along columns."""

    @property
    def interpolated(self) -> bool:
        """Whether its edges have rims of labels in between, as interpolation makes them."""
        return self.edges >= _FEWEST and self.edges < _BUSY * self.places and self.between > RIMS * self.edges


@dataclass(frozen=True)
class Published:
    """Pixels of each class in a published split and, last, of void; ``scenes``: each image shows about all of it."""

    pixels: tuple[int, ...]
    scenes: bool

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of all pixels, void among them."""
        return np.array(self.pixels, np.float64) / sum(self.pixels)


def look(name: str, labels: Bytes, num_classes: int, stored: Bytes | None = None) -> Look:
    """Measure the labels (h, w) of an image; rims in the stored ids (h, w), where those differ from labels."""
    counts = np.bincount(labels.ravel(), minlength=256)
    pixels = np.append(counts[:num_classes], counts[IGNORE_INDEX]).astype(np.int64)
    edges = between = places = 0
    ids = labels if stored is None else stored
    for grid in (ids, ids.T):
        before, here, after = grid[:-2], grid[1:-1], grid[2:]
        low, high = np.minimum(before, after), np.maximum(before, after)
        scored = high != IGNORE_INDEX
        edges += int((scored & (high > low + 1)).sum())  # low is below 254, as high is scored
        between += int((scored & (here > low) & (here < high)).sum())
        places += here.size
    return Look(name, pixels, edges, between, places)


def faults(
    looks: Sequence[Look], classes: tuple[str, ...], published: Published | None, *, whole: bool
) -> Iterator[str]:
    """Yield the faults of a split's labels, one sentence each without the split's name.

    Args:
        looks: of every image that could be read.
        classes: their names.
        published: the split's own counts, or those of another split of the data set where it is not whole.
        whole: whether it has as many images as are published.
    """
    if not looks:
        return
    if blurred := [one.name for one in looks if one.interpolated]:
        yield (
            f"the labels of {many(len(blurred), 'image')} ({blurred[0]} first) have rims of classes whose ids lie "
            "between those on both sides, as masks resized by interpolation have; resize by the nearest pixel"
        )
    if published is None:
        missing = [
            name
            for name, count in zip(classes, np.sum([one.pixels for one in looks], axis=0), strict=False)
            if not count
        ]
        if whole and missing:
            yield f"no pixel is {missing[0]}{f' ({len(missing)} classes in all)' if len(missing) > 1 else ''}"
        return
    if shifted := _shifted(looks, published):
        yield f"the ids of {shifted} fit the published shares of classes shifted by one, with void at one end"
    if whole:
        yield from _off(looks, classes, published)


def _shifted(looks: Sequence[Look], published: Published) -> str:
    """Return which masks have ids shifted by one; empty string: none."""
    log = np.log(np.maximum(published.shares, 1e-6))
    ratios = np.array([log - np.roll(log, step) for step in (1, -1)])
    pixels = np.array([one.pixels for one in looks], np.float64)
    found = np.flatnonzero((-(pixels @ ratios.T) / pixels.sum(1, keepdims=True)).max(1) > CLEAR)
    if 2 * len(found) > len(looks) and (-(ratios @ pixels.sum(0)) / pixels.sum()).max() > CLEAR:
        return f"all {many(len(looks), 'mask')} together"
    fewest = 1 if published.scenes else max(_FILES, _PART * len(looks))
    return f"{many(len(found), 'mask')} ({looks[found[0]].name} first)" if len(found) >= fewest else ""


def _off(looks: Sequence[Look], classes: tuple[str, ...], published: Published) -> Iterator[str]:
    """Yield the classes whose share is not the published one, the farthest first."""
    pixels = np.sum([one.pixels for one in looks], axis=0)
    shares, expected = pixels / pixels.sum(), published.shares
    away = np.abs(shares - expected) / np.maximum(expected, 1e-9)
    order = [int(i) for i in np.argsort(-away) if away[i] > TOLERANCE]
    if order:
        names = (*classes, "void")
        said = [f"{names[i]} {100 * shares[i]:.2f} % instead of {100 * expected[i]:.2f} %" for i in order[:_NAMED]]
        more = f" and {len(order) - _NAMED} more classes" if len(order) > _NAMED else ""
        yield f"shares of pixels are not those published: {', '.join(said)}{more}"
