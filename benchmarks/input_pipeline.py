"""The share of a training step that its input takes: drawing, cutting, flipping, normalising a batch from the store.

    python benchmarks/input_pipeline.py [--device cpu]

Two runs as `repro run` makes them: the laptop profile's GCN k=7 at 96 x 96, and the ResNet-50 GCN k=7 at 256 x 256 on
the same store, scaled and cut at random. The step is measured whole, its input alone beside it, turn by turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from _sitting import Goal, arguments, compare, report, sized, take_turns
from torch import nn

from repro import models
from repro.config import dataset_info, profiles
from repro.config.experiment import Run, Training
from repro.config.machine import cpu_has_bf16
from repro.config.networks import GCN, Model
from repro.data import load
from repro.data.cache import open_store
from repro.data.gpu_loader import Resident, fits
from repro.data.loader import Batches
from repro.models.numerics import repeatable
from repro.training.loss import loss_function
from repro.training.optimizer import build_optimizer

LARGE = sized(256, 96)


def runs() -> dict[str, Run]:
    """Return the two runs."""
    small = profiles.get("shapes").resolve(Training(Model(GCN(7))))
    assert small is not None
    source = replace(small.train[0], height=LARGE, width=LARGE, crop=True)
    recipe = replace(small.recipe, batch_size=sized(4, 1), optimizer="sgd", lr=1e-4, scale=(2.0, 3.0))
    large = replace(small, model=Model(GCN(7), refine=True, backbone="resnet50"), train=(source,), recipe=recipe)
    return {
        "laptop profile, 96 x 96, batch 8": small,
        f"ResNet-50, {LARGE} x {LARGE}, batch {recipe.batch_size}": large,
    }


def ways(run: Run, device: str) -> dict[str, Callable[[], object]]:
    """Return a whole step, and its input alone."""
    store = open_store(load("shapes", "train"))
    recipe = run.recipe
    batches = Batches(
        (store,), run.train[0], recipe.batch_size, 0, flip=recipe.flip, flip_vertical=recipe.flip_vertical,
        scale=recipe.scale,
    )  # fmt: skip
    info = dataset_info.get("shapes")
    mean, std = info.mean, info.std
    ready = partial(batches.ready, mean=mean, std=std, device=device)
    if fits(batches, torch.device(device)):
        ready = partial(Resident(batches, device).ready, mean=mean, std=std)
    net = models.build(run.model, len(store.classes), head_std=0.01).to(device).to(memory_format=torch.channels_last)
    optimizer, loss_of = build_optimizer(net.train(), recipe), loss_function(run)
    repeatable()
    fast = device == "cuda" or (cpu_has_bf16() and "resnet50" in str(run.model))
    numbers = iter(range(1_000_000))

    def step() -> float:
        images, labels = ready(next(numbers))
        with torch.autocast(device, torch.bfloat16, enabled=fast):
            logits = net(images)
        loss = loss_of(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return {"step": step, "its input": lambda: ready(next(numbers))}


def main() -> None:
    """Measure both."""
    parser = arguments(__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    device = parser.parse_args().device
    tables = {
        name: compare(
            take_turns(ways(run, device), rounds=15, calls=10 if "resnet50" not in str(run.model) else 1), "step"
        )
        for name, run in runs().items()
    }
    goals = [
        Goal(f"input's share of a step: {name}", table["its input"]["ratio"], 0.05, most=True, unit="")
        for name, table in tables.items()
    ]
    report("input_pipeline", tables, threads=torch.get_num_threads(), goals=goals)


if __name__ == "__main__":
    main()
