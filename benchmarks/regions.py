"""Boundary band and distance bins of a 512 x 512 label map beside opencv's and scipy's distance transforms.

    python benchmarks/regions.py

A competitor needs a transform for each label (or one of "void or not" where void separates all labels: the single
transform, which is the least that any of them can cost). All give the same band, which is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from _sitting import Goal, arguments, compare, report, take_turns
from counts import VOID, Map, blobs
from numpy.typing import NDArray
from scipy import ndimage

from repro.evaluation import regions

Bits = NDArray[np.bool_]


def precise(inside: Bits) -> NDArray[Any]:
    """Opencv's precise Euclidean transform."""
    return np.asarray(cv2.distanceTransform(inside.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


def by_label(labels: Map, transform: Callable[[Bits], NDArray[Any]]) -> Bits:
    """Return the band from one transform a label."""
    band = np.zeros(labels.shape, np.bool_)
    for value in np.unique(labels):
        inside = labels == value
        if value != VOID:
            band |= inside & (transform(inside) <= 7)  # noqa: PLR2004 - Table 5
    return band


def main() -> None:
    """Compare band and bins."""
    arguments(__doc__).parse_args()
    cv2.setNumThreads(1)
    labels, pred = blobs(np.random.default_rng(0))
    scored = labels != VOID
    ways: dict[str, Callable[[], Any]] = {
        "ours, band": lambda: regions.boundary_band(labels),
        "ours, bins": lambda: regions.distance_bins(labels),
        "ours, bins, sizes and counts": lambda: regions.region_counts(labels, pred, regions.region_codes(labels)),
        "opencv precise, one transform": lambda: precise(scored),
        "opencv precise, each label": lambda: by_label(labels, precise),
        "scipy, one transform": lambda: ndimage.distance_transform_edt(scored),
        "scipy, each label": lambda: by_label(labels, ndimage.distance_transform_edt),
    }
    band = ways["ours, band"]()
    assert (band == by_label(labels, precise)).all()
    assert (band == by_label(labels, ndimage.distance_transform_edt)).all()
    bins = ways["ours, bins"]()
    assert (band == (bins <= 7)).all()  # noqa: PLR2004
    table = compare(take_turns(ways, rounds=31), "ours, band")
    least = {"opencv precise, one transform": 5.0, "scipy, one transform": 15.0}
    goals = [Goal(f"boundary band: {name}", table[name]["ratio"], goal) for name, goal in least.items()]
    report("regions", {"boundary band, 512 x 512": table}, goals)


if __name__ == "__main__":
    main()
