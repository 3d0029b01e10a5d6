"""Evaluation with the regions of Table 5 (distance to the boundary, size of the object) beside evaluation without.

    python benchmarks/evaluation.py            # the laptop's network on 96 x 96 images of shapes, under a minute
    python benchmarks/evaluation.py --paper    # ResNet-50, GCN k = 15 + BR on a 512 x 512 label map too

Without them each image still has its confusion counted per class, from which mIoU comes. One thread.
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np
import torch
from _sitting import compare, report, take_turns
from counts import blobs

from repro import data, metrics
from repro.data import transforms
from repro.data.dataset import Item as Pair
from repro.evaluate import Item, Predictor, chunks, evaluate_images
from repro.models import Network, build
from repro.spec import GCN, Model

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def without(predictor: Predictor, items: list[Item], num_classes: int) -> None:
    """Do what ``evaluate_images`` does, counts per class alone."""
    for chunk in chunks(items):
        for (_, _, labels), pred in zip(chunk, predictor.labels([image for _, image, _ in chunk]), strict=True):
            metrics.class_counts(labels, pred, num_classes)


def turns(backbone: str, pairs: list[Pair], num_classes: int, rounds: int) -> list[dict[str, float]]:
    """Return the seconds an image with and without regions."""
    torch.manual_seed(0)
    net = build(Model(GCN(15), refine=True, backbone=backbone), num_classes)
    assert isinstance(net, Network)
    predictor = Predictor(net.eval(), partial(transforms.normalise, mean=MEAN, std=STD))
    items = [(i, image, labels) for i, (image, labels) in enumerate(pairs)]
    found = take_turns(
        {
            "without": lambda: without(predictor, items, num_classes),
            "with regions": lambda: evaluate_images(predictor, items, num_classes),
        },
        rounds,
    )
    return [{name: seconds / len(items) for name, seconds in turn.items()} for turn in found]


def main() -> None:
    """Compare on the laptop's images, and where asked at the paper's size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paper", action="store_true", help="ResNet-50 GCN k = 15 + BR at 512 x 512 too")
    options, _ = parser.parse_known_args()
    torch.set_num_threads(1)
    shapes = data.load("shapes", "test", None)
    small = turns("small", [shapes.read(i) for i in range(32)], len(shapes.classes), rounds=15)
    tables = {"an image of shapes, 96 x 96, small GCN k=15 + BR": compare(small, "without")}
    if options.paper:
        labels, _ = blobs(np.random.default_rng(0))
        image = np.random.default_rng(1).integers(0, 255, (*labels.shape, 3)).astype(np.uint8)
        large = turns("resnet50", [(image, labels)], 21, rounds=5)
        tables["an image, 512 x 512, ResNet-50 GCN k=15 + BR"] = compare(large, "without")
    report("evaluation", tables, goal="with regions under 1.05 of without")


if __name__ == "__main__":
    main()
