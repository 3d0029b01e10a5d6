"""A small batch and network for tests of training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repro import models
from repro.config.experiment import Run


def random_batch(step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(2, 3, 32, 32, generator=generator).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 6, (2, 32, 32), generator=generator).to(torch.uint8)
    labels[:, :3] = 255
    return images, labels


def network_of(run: Run, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return models.build(run.model, 6, head_std=0.01)
