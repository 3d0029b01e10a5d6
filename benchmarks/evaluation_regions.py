"""Evaluation with the regions of Table 5 (distance to the boundary, size of the object) beside evaluation without.

    python benchmarks/evaluation_regions.py

The laptop's network on 96 x 96 images of shapes, and a ResNet-50 GCN k = 15 + BR on a label map of 512 x 512. Without
regions each image still has its confusion counted per class, from which mIoU comes. Where pixels lie is found at the
first evaluation of a split and kept beside its store: ``with regions`` has it, ``the first time`` finds it. One thread.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from _sitting import Goal, arguments, compare, report, sized, take_turns
from counts import blobs

from repro import data
from repro.config.machine import keep_memory
from repro.config.networks import GCN, Model
from repro.data.dataset import Item as Pair
from repro.data.normalise import normalise
from repro.evaluation import regions
from repro.evaluation.confusion import class_counts
from repro.evaluation.evaluator import Item, chunks, evaluate_images
from repro.evaluation.predictor import Predictor
from repro.models import Network, build

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def without(predictor: Predictor, items: list[Item], num_classes: int) -> None:
    """Do what ``evaluate_images`` does, counts per class alone."""
    for chunk in chunks(items):
        for (_, _, labels), pred in zip(chunk, predictor.labels([image for _, image, _ in chunk]), strict=True):
            class_counts(labels, pred, num_classes)


def turns(backbone: str, pairs: list[Pair], num_classes: int, rounds: int) -> list[dict[str, float]]:
    """Return the seconds an image, with and without regions."""
    torch.manual_seed(0)
    net = build(Model(GCN(15), refine=True, backbone=backbone), num_classes)
    assert isinstance(net, Network)
    predictor = Predictor(net.eval(), partial(normalise, mean=MEAN, std=STD))
    items = [(i, image, labels) for i, (image, labels) in enumerate(pairs)]
    codes = [regions.region_codes(labels, "edge", "euclidean", 0) for _, labels in pairs]
    found = take_turns(
        {
            "without": lambda: without(predictor, items, num_classes),
            "with regions": lambda: evaluate_images(predictor, items, num_classes, codes=codes),
            "with regions, the first time": lambda: evaluate_images(predictor, items, num_classes),
        },
        rounds,
    )
    return [{name: seconds / len(items) for name, seconds in turn.items()} for turn in found]


def main() -> None:
    """Compare on the laptop's images, and at the paper's size."""
    arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    keep_memory()
    shapes = data.load("shapes", "test", None)
    labels, _ = blobs(np.random.default_rng(0))
    image = np.random.default_rng(1).integers(0, 255, (*labels.shape, 3)).astype(np.uint8)
    sittings = {
        "shapes, 96 x 96, small GCN k=15 + BR": turns(
            "small", [shapes.read(i) for i in range(sized(32, 2))], len(shapes.classes), rounds=15
        ),
        "512 x 512, ResNet-50 GCN k=15 + BR": turns("resnet50", [(image, labels)], 21, rounds=9),
    }
    tables = {name: compare(found, "without") for name, found in sittings.items()}
    goals = [
        Goal(f"evaluation with regions beside without: {name}", table["with regions"]["ratio"], 1.05, most=True)
        for name, table in tables.items()
    ]
    report("evaluation_regions", tables, goals)


if __name__ == "__main__":
    main()
