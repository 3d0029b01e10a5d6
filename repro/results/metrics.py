"""Counts of pixels and the scores that are derived from them: mIoU, pixel, boundary and internal accuracy, top-5 error.

Every score is a fraction, pooled over the whole set (counts are summed over the images before any division), and is nan
where nothing was counted: an empty score is never a zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Metric:
    """A score as a function of sums over images.

    The point score is ``reduce(parts(counts).sum(axis=0))``, its bootstrap ``reduce(weights @ parts(counts))``.
    """

    name: str
    label: str
    unit: str
    """``%``, or another unit; the score times 100 is in it."""
    counts: str
    """Name of the counts that it needs: an array of ``counts.npz``, or a row of ``scores.BESIDE``."""
    parts: Callable[[NDArray[Any]], Floats]
    """Summands of every image, (n, q), from the counts (n, ...)."""
    reduce: Callable[[Floats], Floats]
    """The score from sums (..., q); nan where it is undefined."""

    def of(self, counts: Mapping[str, NDArray[Any]]) -> Floats:
        """Return the parts of a record's counts; raise ``MetricError`` where those needed were not recorded."""
        if self.counts not in counts:
            held = ", ".join(sorted(counts)) or "none"
            raise MetricError(f"metric {self.name}: needs the counts {self.counts!r}, the record has {held}")
        return self.parts(counts[self.counts])


def _shaped(counts: NDArray[Any], name: str, shape: tuple[int | None, ...]) -> Ints:
    """Return ``counts`` when it has integers in this shape; ``None`` stands for any length."""
    array = np.asarray(counts)
    fits = array.ndim == len(shape) and all(w in (None, s) for w, s in zip(shape, array.shape, strict=True))
    if not fits or array.dtype.kind not in "iu":
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        msg = f"{name}: needs integer counts of shape ({wanted}), got {array.dtype} {array.shape}"
        raise MetricError(msg)
    return array.astype(np.int64, copy=False)


def _class_parts(classes: Ints) -> Floats:
    """Return the pixels of intersection, prediction and label of every class, (n, c * 3), from (n, c, 3)."""
    array = _shaped(classes, "classes", (None, None, 3))
    return array.reshape(len(array), 3 * array.shape[1]).astype(np.float64)


def _pixel_parts(classes: Ints) -> Floats:
    """Return the pixels right and labelled, (n, 2)."""
    return np.asarray(_shaped(classes, "classes", (None, None, 3)).sum(axis=1)[:, [0, 2]], np.float64)


def _region_parts(bins: slice) -> Callable[[Ints], Floats]:
    """Return a function from ``distance`` (n, 42, 2) to the pixels right and seen in some bins, (n, 2)."""

    def parts(distance: Ints) -> Floats:
        return np.asarray(_shaped(distance, "distance", (None, BINS, 2))[:, bins].sum(axis=1), np.float64)

    return parts


def _top5_parts(top5: Ints) -> Floats:
    """Return whether an image's class is beyond the best five, and 1, (n, 2); ``top5`` has best and among five."""
    right = _shaped(top5, "top5", (None, 2))[:, 1]
    return np.stack([1.0 - right, np.ones(len(right))], axis=1)


def _pairs(pairs: NDArray[Any]) -> Floats:
    return np.asarray(pairs, np.float64).reshape(-1, 2)


def ratio(sums: Floats) -> Floats:
    """Return the first sum over the second, (...), from (..., 2); nan where the second is not positive."""
    right, seen = sums[..., 0], sums[..., 1]
    out = np.full(np.shape(seen), math.nan)
    np.divide(right, seen, out=out, where=np.asarray(seen) > 0)
    return out


def class_iou(sums: Floats) -> Floats:
    """Return each class's intersection over union, (..., c), from sums (..., c * 3).

    It is nan for a class that occurs neither in a label nor in a prediction.
    """
    both, pred, label = np.moveaxis(sums.reshape(*sums.shape[:-1], sums.shape[-1] // 3, 3), -1, 0)
    return ratio(np.stack([both, pred + label - both], axis=-1))


def mean_iou(sums: Floats) -> Floats:
    """Return the mean of ``class_iou`` over the classes that occur in a label or in a prediction; nan when none does.

    A class that is predicted but never labelled counts as 0: it is a mistake, not an absence. The paper's "Mean IoU"
    (Tables 1 to 4 and 7 to 10) is this one.
    """
    iou = class_iou(sums)
    seen = ~np.isnan(iou)
    return ratio(np.stack([np.where(seen, iou, 0.0).sum(axis=-1), seen.sum(axis=-1)], axis=-1))


_BOUNDARY, _INTERNAL = _region_parts(slice(None, WITHIN + 1)), _region_parts(slice(WITHIN + 1, None))
METRICS = {
    metric.name: metric
    for metric in (
        Metric("miou", "mean IoU", "%", "classes", _class_parts, mean_iou),
        Metric("pixel_acc", "pixel accuracy", "%", "classes", _pixel_parts, ratio),
        Metric("boundary_acc", "boundary accuracy", "%", "distance", _BOUNDARY, ratio),
        Metric("internal_acc", "internal accuracy", "%", "distance", _INTERNAL, ratio),
        Metric("top5_err", "top-5 error", "%", "top5", _top5_parts, ratio),
        Metric("field_area", "area of the valid receptive field", "%", "fields", _pairs, ratio),
        Metric("train_loss", "training loss", "loss x 100", "loss", _pairs, ratio),
    )
}
"""Every metric by name."""


def find(name: str) -> Metric:
    """Return the metric of a name; raise ``MetricError`` where there is none."""
    if name not in METRICS:
        raise MetricError(f"metric {name!r} is unknown; there are {', '.join(METRICS)}")
    return METRICS[name]


def main(counts: Mapping[str, NDArray[Any]]) -> Metric:
    """Return the metric by which two evaluations are compared: the first that the counts give, mIoU for none."""
    return next((metric for metric in METRICS.values() if metric.counts in counts), METRICS["miou"])


def score(name: str, counts: Mapping[str, NDArray[Any]]) -> float:
    """Return the metric of a name from a record's counts.

    Raises:
        MetricError: the metric is unknown, or the counts that it needs were not recorded.
    """
    metric = find(name)
    return float(metric.reduce(metric.of(counts).sum(axis=0)))


def boundary_share(distance: Ints) -> float:
    """Return the share of the scored pixels that lie in the boundary region; nan when none is scored."""
    near, far = _BOUNDARY(distance).sum(axis=0)[1], _INTERNAL(distance).sum(axis=0)[1]
    return float(ratio(np.array([near, near + far])))


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
