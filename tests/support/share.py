"""One process of a group that trains together: `python share.py OUT STEPS NETWORK LOSS`; the first writes."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from repro import models
from repro.config.machine import Machine
from repro.models import freeze_bn
from repro.training import trainer
from repro.training.distributed import open_fabric
from tests.support.short_runs import job

BATCH, SIDE = 8, 64
RATES = {"mean": 0.02, "sum": 0.02}


def main(out: Path, steps: int, norm: str, loss: str) -> None:
    """Train in float64: in float32 the last bit of a weight alone moves the losses by 1e-3 within 30 steps.

    ``norm`` "frozen" fixes the batch norms, ``loss`` is the recipe's reduction.
    """
    torch.set_num_threads(1)
    task = job(steps).run
    run = replace(task, recipe=replace(task.recipe, loss=loss, optimizer="sgd", lr=RATES[loss]))
    fabric = open_fabric(Machine(device="cpu", precision="32"))
    share = BATCH // fabric.world_size

    def batch(step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(step)
        coarse = torch.randint(0, 6, (BATCH, SIDE // 8, SIDE // 8), generator=generator)
        labels = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
        colours = torch.stack([labels % 2, labels % 3, labels // 3], 1) - 1.0  # what the labels can be read from
        images = colours + 0.3 * torch.randn(BATCH, 3, SIDE, SIDE, generator=generator)
        images, labels = images.double().contiguous(memory_format=torch.channels_last), labels.to(torch.uint8)
        labels[: BATCH // 2, : SIDE // 2] = 255  # the halves differ in what is void: a mean of means would be wrong
        images[: BATCH // 2] *= 2.0  # and in their statistics
        part = slice(fabric.global_rank * share, (fabric.global_rank + 1) * share)
        return images[part], labels[part]

    torch.manual_seed(0)
    net = models.build(run.model, 6, head_std=0.0).double()
    if norm == "frozen":
        freeze_bn(net.backbone)
    trainer.LOG_EVERY = 1
    work = out / f"work{fabric.global_rank}"
    work.mkdir(parents=True)
    trainer.train(run, net, batch, fabric, work, checkpoint_seconds=float("inf"))
    if fabric.is_global_zero:
        lines = (work / "log.jsonl").read_text(encoding="utf-8").splitlines()
        state = {name: value.double().sum().item() for name, value in net.state_dict().items()}
        (out / "losses.json").write_text(json.dumps({"losses": [json.loads(x)["loss"] for x in lines], "state": state}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
