"""One process of a group that trains together: `python share.py OUT STEPS NETWORK LOSS`; the first writes."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from short_runs import job
from torch import Tensor

from repro import models, train
from repro.fabric import open_fabric
from repro.machine import Machine
from repro.models import freeze_bn

BATCH = 8


def main(out: Path, steps: int, norm: str, loss: str) -> None:
    """Train on random images; ``norm`` "frozen" fixes the batch norms, ``loss`` is the recipe's reduction."""
    torch.set_num_threads(1)
    task = job(steps).run
    run = replace(task, recipe=replace(task.recipe, loss=loss, optimizer="sgd", lr=0.01 if loss == "mean" else 1e-6))
    fabric = open_fabric(Machine(device="cpu", precision="32"))
    share = BATCH // fabric.world_size

    def batch(step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(step)
        images = torch.randn(BATCH, 3, 32, 32, generator=generator).contiguous(memory_format=torch.channels_last)
        labels = torch.randint(0, 6, (BATCH, 32, 32), generator=generator).to(torch.uint8)
        labels[: BATCH // 2, :24] = 255  # the halves differ in what is void: a mean of means would be wrong
        part = slice(fabric.global_rank * share, (fabric.global_rank + 1) * share)
        return images[part], labels[part]

    torch.manual_seed(0)
    net = models.build(run.model, 6, head_std=0.01)
    if norm == "frozen":
        freeze_bn(net.backbone)
    train.LOG_EVERY = 1
    work = out / f"work{fabric.global_rank}"
    work.mkdir(parents=True)
    train.train(run, net, batch, fabric, work, checkpoint_seconds=float("inf"))
    if fabric.is_global_zero:
        lines = (work / "log.jsonl").read_text(encoding="utf-8").splitlines()
        state = {name: value.double().sum().item() for name, value in net.state_dict().items()}
        (out / "losses.json").write_text(json.dumps({"losses": [json.loads(x)["loss"] for x in lines], "state": state}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
