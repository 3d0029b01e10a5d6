"""A training step of the laptop profile's networks in float32 and in bf16, channels last, one thread, turn by turn.

    python benchmarks/precision.py [--rounds 7]

Why ``--precision auto`` keeps narrow networks in float32 on a CPU (docs/decisions/0006); for the ResNet-50 see
``train_step.py``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from _sitting import arguments, compare, report, sized, take_turns
from torch import nn

from repro import models
from repro.config import profiles
from repro.config.experiment import Training
from repro.config.machine import cpu_has_bf16, keep_memory
from repro.config.networks import GCN, Conv, Model, Stack
from repro.training.loss import loss_function
from repro.training.optimizer import build_optimizer

CLASSES, (BATCH, SIDE) = 6, sized((8, 96), (2, 32))
MODELS = {
    "GCN k=7": Model(GCN(7)),
    "GCN k=15 + BR": Model(GCN(15), refine=True),
    "Conv k=15": Model(Conv(15)),
    "Stack k=7": Model(Stack(7, 2048)),
}


def step(model: Model, *, bf16: bool) -> Callable[[], None]:
    """Return a training step as ``repro run`` makes it in the profile ``shapes``."""
    run = profiles.get("shapes").resolve(Training(model))
    assert run is not None
    torch.manual_seed(0)
    net = models.build(run.model, CLASSES, head_std=run.recipe.head_std).to(memory_format=torch.channels_last).train()
    optimizer, loss_of = build_optimizer(net, run.recipe), loss_function(run)
    images = torch.randn(BATCH, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (BATCH, SIDE, SIDE))

    def call() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = net(images)
        loss = loss_of(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), run.recipe.clip)
        optimizer.step()

    return call


def main() -> None:
    """Measure each network."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    keep_memory()
    tables = {}
    for name, model in MODELS.items():
        ways = {"float32": step(model, bf16=False), "bf16": step(model, bf16=True)}
        tables[f"{name}, batch {BATCH}, {SIDE} x {SIDE}"] = compare(take_turns(ways, rounds, calls=2), "float32")
    report("precision", tables, threads=1, cpu_has_bf16=cpu_has_bf16())


if __name__ == "__main__":
    main()
