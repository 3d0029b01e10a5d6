"""Counts of pixels and the scores that are derived from them: mIoU, pixel, boundary and internal accuracy, top-5 error.

Every score is a fraction, pooled over the whole set (counts are summed over the images before any division), and is nan
where nothing was counted: an empty score is never a zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.config.errors import MetricError

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]

BINS = 42
"""Distance bins. Bin d holds the distances in (d - 1, d]; the last one everything beyond ``BINS - 2`` pixels."""
WITHIN = 7
"""Widest distance of the boundary region (Table 5)."""


def _ratio(right: NDArray[Any], seen: NDArray[Any]) -> Floats:
    """Return ``right / seen``, nan where nothing was seen."""
    out = np.full(np.shape(seen), math.nan)
    np.divide(right, seen, out=out, where=np.asarray(seen) > 0)
    return out


def _shaped(counts: NDArray[Any], name: str, shape: tuple[int | None, ...]) -> Ints:
    """Return ``counts`` when it has integers in this shape; ``None`` stands for any length."""
    array = np.asarray(counts)
    fits = array.ndim == len(shape) and all(w in (None, s) for w, s in zip(shape, array.shape, strict=True))
    if not fits or array.dtype.kind not in "iu":
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        msg = f"{name}: needs integer counts of shape ({wanted}), got {array.dtype} {array.shape}"
        raise MetricError(msg)
    return array.astype(np.int64, copy=False)


def iou(classes: Ints) -> Floats:
    """Return each class's intersection over union, pooled over the set.

    Args:
        classes: (n, c, 3), per image and class the pixels of the intersection, the prediction and the label.

    Returns:
        (c,) fractions; nan for a class that occurs neither in a label nor in a prediction.
    """
    both, pred, label = _shaped(classes, "classes", (None, None, 3)).sum(axis=0).T
    return _ratio(both, pred + label - both)


def miou(classes: Ints) -> float:
    """Return the mean of ``iou`` over the classes that occur in a label or in a prediction; nan when none does.

    A class that is predicted but never labelled counts as 0: it is a mistake, not an absence. The paper's "Mean IoU"
    (Tables 1 to 4 and 7 to 10) is this one.
    """
    each = iou(classes)
    return float(each[~np.isnan(each)].mean()) if not np.isnan(each).all() else math.nan


def pixel_acc(classes: Ints) -> float:
    """Return the share of labelled pixels that are right; nan when none is labelled."""
    both, _, label = _shaped(classes, "classes", (None, None, 3)).sum(axis=(0, 1))
    return float(_ratio(both, label))


def _near_far(distance: Ints, within: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return right and seen, (2,), up to ``within`` pixels from the boundary and beyond."""
    if not 0 <= within <= BINS - 2:
        msg = f"within: the bins end at {BINS - 2} pixels, got {within}"
        raise MetricError(msg)
    pooled = _shaped(distance, "distance", (None, BINS, 2)).sum(axis=0)
    return pooled[: within + 1].sum(axis=0), pooled[within + 1 :].sum(axis=0)


def boundary_acc(distance: Ints, within: int = WITHIN) -> float:
    """Return the accuracy within ``within`` pixels of the nearest other label (Table 5); nan when no pixel is there.

    Args:
        distance: (n, 42, 2), per image and distance bin the pixels right and seen. Bin d holds the distances in
            (d - 1, d]. A pixel beside an edge has distance 1, so bin 0 is always empty.
        within: widest distance, in pixels.
    """
    near, _ = _near_far(distance, within)
    return float(_ratio(near[0], near[1]))


def internal_acc(distance: Ints, within: int = WITHIN) -> float:
    """Return the accuracy farther than ``within`` pixels from any other label (Table 5); nan when no pixel is there."""
    _, far = _near_far(distance, within)
    return float(_ratio(far[0], far[1]))


def boundary_share(distance: Ints, within: int = WITHIN) -> float:
    """Return the share of the scored pixels that lie in the boundary region; nan when none is scored."""
    near, far = _near_far(distance, within)
    return float(_ratio(near[1], near[1] + far[1]))


def profile(distance: Ints) -> Floats:
    """Return the accuracy at each distance bin, (42,); nan in bins that hold no pixel (bin 0 always)."""
    right, seen = _shaped(distance, "distance", (None, BINS, 2)).sum(axis=0).T
    return _ratio(right, seen)


def top5_err(top5: Ints) -> float:
    """Return the share of images whose class is not among the best five (Table 6); nan for no image.

    Args:
        top5: (n, 2), per image 1 where the class was the best one, and 1 where it was among five.
    """
    array = _shaped(top5, "top5", (None, 2))
    return float(1.0 - array[:, 1].mean()) if len(array) else math.nan


def share(parts: NDArray[Any]) -> float:
    """Return the sum of the first column over that of the second, from (n, 2); nan where the second is nothing."""
    part, whole = np.asarray(parts, dtype=np.float64).reshape(-1, 2).sum(axis=0)
    return float(_ratio(part, whole))


_SCORES: dict[str, tuple[str, Callable[[Ints], float]]] = {
    "miou": ("classes", miou),
    "pixel_acc": ("classes", pixel_acc),
    "boundary_acc": ("distance", boundary_acc),
    "internal_acc": ("distance", internal_acc),
    "top5_err": ("top5", top5_err),
    "field_area": ("fields", share),
    "train_loss": ("loss", share),
}


def score(metric_name: str, counts: Mapping[str, Ints]) -> float:
    """Return the metric of this name (``spec.Metric``) from a record's counts.

    Raises:
        MetricError: the metric is unknown, or the counts that it needs were not recorded.
    """
    if metric_name not in _SCORES:
        msg = f"metric {metric_name!r} is unknown; there are {', '.join(_SCORES)}"
        raise MetricError(msg)
    name, function = _SCORES[metric_name]
    if name not in counts:
        msg = f"metric {metric_name}: needs the counts {name!r}, the record has {', '.join(sorted(counts)) or 'none'}"
        raise MetricError(msg)
    return function(counts[name])


def check_labels(labels: NDArray[np.uint8], num_classes: int, ignore: int = 255) -> None:
    """Raise ``MetricError`` where a label map of any shape holds a value that is neither a class nor void."""
    wrong = labels[(labels >= num_classes) & (labels != ignore)]
    if wrong.size:
        raise no_label(int(wrong.min()), num_classes, ignore)


def check_classes(largest: int, num_classes: int) -> None:
    """Raise ``MetricError`` where the largest class of a prediction is none of the classes."""
    if largest >= num_classes:
        msg = f"prediction: class {largest} is outside the {num_classes} classes"
        raise MetricError(msg)


def no_label(value: int, num_classes: int, ignore: int) -> MetricError:
    """Return the error of a label that is neither a class nor void."""
    return MetricError(f"labels: value {value} is neither one of the {num_classes} classes nor void ({ignore})")
