"""Confusion counts of a 512 x 512 label map, 21 classes: ours beside numpy's bincount, torchmetrics and histograms.

    python benchmarks/counts.py

torchmetrics is left out where it is not installed. All get the same uint8 maps and give the same counts, which is
checked. The maps are blobs with a void rim; the
prediction is the shifted labels with wrong patches. ``noise``: no two neighbours alike, the worst case for ours.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module, util
from typing import Any

import cv2
import numpy as np
import torch
from _sitting import Goal, arguments, compare, left_out, report, sized, take_turns
from numpy.typing import NDArray

from repro.evaluation.confusion import class_counts, confusion

CLASSES, VOID, SIDE = 21, 255, sized(512, 96)
Map = NDArray[np.uint8]


def blobs(rng: np.random.Generator) -> tuple[Map, Map]:
    """Return labels as VOC has them, a few objects with a rim, and a prediction that is mostly right."""
    noise = rng.normal(size=(3, 4, 4)).astype(np.float32)
    large = np.stack([cv2.resize(layer, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for layer in noise])
    labels = np.array([0, *rng.choice(np.arange(1, CLASSES), 2, replace=False)], np.uint8)[large.argmax(axis=0)]
    pred = np.roll(labels, (4, 3), (0, 1))
    pred[:80, :80] = 5
    edge = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    labels[edge] = VOID
    return labels, pred


def bincount(labels: Map, pred: Map) -> NDArray[Any]:
    """The classic: mask the void, number the pairs, count."""
    valid = labels < CLASSES
    pairs = CLASSES * labels[valid].astype(np.int64) + pred[valid]
    return np.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def histograms(labels: torch.Tensor, pred: torch.Tensor) -> NDArray[Any]:
    """Three histograms, as mmsegmentation counts: intersection, prediction, label."""
    valid = labels != VOID
    pred, labels = pred[valid], labels[valid]
    maps = (pred[pred == labels], pred, labels)
    return np.stack([torch.histc(m.float(), bins=CLASSES, min=0, max=CLASSES - 1).numpy() for m in maps], axis=1)


def contestants(labels: Map, pred: Map) -> dict[str, Callable[[], Any]]:
    """Return the ways to count these maps whose library is here, checked to agree."""
    label_tensor, pred_tensor = torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(pred.astype(np.int64))
    ways: dict[str, Callable[[], Any]] = {
        "ours": lambda: class_counts(labels, pred, CLASSES),
        "numpy bincount": lambda: bincount(labels, pred),
        "histograms (mmsegmentation)": lambda: histograms(label_tensor, pred_tensor),
    }
    matrix = ways["numpy bincount"]()
    if util.find_spec("torchmetrics"):
        zoo = import_module("torchmetrics.classification")
        theirs = zoo.MulticlassConfusionMatrix(CLASSES, ignore_index=VOID, validate_args=False)
        ways["torchmetrics"] = lambda: theirs(pred_tensor, label_tensor)
        assert (ways["torchmetrics"]().numpy() == matrix).all()
    else:
        left_out("torchmetrics", "not installed")
    assert (confusion(labels, pred, CLASSES) == matrix).all()
    assert (ways["histograms (mmsegmentation)"]() == ways["ours"]()).all()
    return ways


def main() -> None:
    """Compare on blobs and on noise."""
    arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, CLASSES, (2, SIDE, SIDE)).astype(np.uint8)
    pairs = {"blobs": blobs(rng), "noise": (noise[0], noise[1])}
    tables = {
        f"counts, {SIDE} x {SIDE}, {name}": compare(take_turns(contestants(*pair), rounds=101), "ours")
        for name, pair in pairs.items()
    }
    blob = tables[f"counts, {SIDE} x {SIDE}, blobs"]
    least = {"numpy bincount": 2.0, "torchmetrics": 9.0, "histograms (mmsegmentation)": 20.0}
    goals = [Goal(f"counts: {name}", blob[name]["ratio"], goal) for name, goal in least.items() if name in blob]
    report("counts", tables, goals)


if __name__ == "__main__":
    main()
