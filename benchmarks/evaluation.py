"""Evaluation beside a forward pass: counting's share of it, and logits to counts against the usual way.

    python benchmarks/evaluation.py [--rounds 9]

One image of 512 x 512, 21 classes. The forward pass is that of the ResNet-50 GCN k=7 + BR as `repro run` evaluates it
(bf16 where the processor multiplies it, channels last, all threads); counting is everything after the label map:
confusion counts, counts by distance and by object size, with the region codes (distance and size bins) stored with the
images; ``places`` is their computation, in the first evaluation of a split. ``usual``: torch's argmax of logits in the
default layout, then numpy's bincount. Labels are blobs with a void rim, as VOC's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _sitting import Goal, arguments, compare, report, take_turns
from counts import CLASSES, SIDE, Map, bincount, blobs
from torch import Tensor
from train_step import gcn

from repro.config.machine import cpu_has_bf16, keep_memory
from repro.evaluation import regions
from repro.evaluation.confusion import class_counts
from repro.evaluation.predictor import Predictor


def logits_of(pred: Map) -> Tensor:
    """Return noisy logits (1, 21, 512, 512), default layout, whose best label is mostly ``pred``."""
    logits = torch.randn(1, CLASSES, SIDE, SIDE)
    index = torch.from_numpy(pred.astype(np.int64))[None, None]
    return logits.scatter_add_(1, index, torch.full((1, 1, SIDE, SIDE), 5.0))


def ways(labels: Map, pred: Map) -> dict[str, Callable[[], Any]]:
    """Return both ways from logits to counts, checked to agree, and the parts of an evaluation."""
    default = logits_of(pred)
    last = default.contiguous(memory_format=torch.channels_last)
    reader = Predictor(torch.nn.Identity(), lambda _: last)
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    net = gcn(7).eval().to(memory_format=torch.channels_last)
    network = Predictor(
        net,
        lambda x: x.float() / 255,
        autocast=lambda: torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bf16()),
    )

    def ours() -> Any:  # noqa: ANN401 - an array of counts
        return class_counts(labels, reader.labels([image])[0], CLASSES)

    def usual() -> Any:  # noqa: ANN401 - as above
        matrix = bincount(labels, default.argmax(1)[0].numpy())
        return np.stack([matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)], axis=1)

    kept = regions.region_codes(labels)

    def counting() -> None:
        class_counts(labels, pred, CLASSES)
        regions.region_counts(labels, pred, kept)

    assert (ours() == usual()).all()
    return {
        "logits to counts, ours": ours,
        "logits to counts, usual": usual,
        "forward": lambda: network.labels([image]),
        "counting": counting,
        "places": lambda: regions.region_codes(labels),
    }


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    keep_memory()
    torch.manual_seed(0)
    turns = take_turns(ways(*blobs(np.random.default_rng(0))), rounds)
    to_counts, share = compare(turns, "logits to counts, ours"), compare(turns, "forward")
    usual = to_counts["logits to counts, usual"]["ratio"]
    report(
        "evaluation",
        {"512 x 512, 21 classes": to_counts, "the same beside a forward pass": share},
        [
            Goal("logits to counts: argmax of the default layout, bincount", usual, 4.0),
            Goal("counting's share of a forward pass", share["counting"]["ratio"], 0.03, most=True, unit=""),
        ],
        threads=torch.get_num_threads(),
    )


if __name__ == "__main__":
    main()
