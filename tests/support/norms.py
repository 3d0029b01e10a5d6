"""Networks whose batch norms have statistics of their own, and steps of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repro import models
from repro.config.networks import GCN, Model
from repro.models.norm import BatchNorm, freeze_bn


def lively(net: nn.Module) -> nn.Module:
    """Give every batch norm statistics, weights and biases of its own; a new one is almost the identity."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for norm in (module for module in net.modules() if isinstance(module, BatchNorm)):
            for name, low in {"weight": 0.5, "bias": -0.5, "running_mean": -0.5, "running_var": 0.5}.items():
                value = getattr(norm, name)
                value.copy_(low + torch.rand(value.shape, generator=generator, dtype=torch.float64).to(value.dtype))
    return net


def one_step(net: nn.Module, x: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Return output, gradient of x and of every parameter that trains, under autocast where dtype is bfloat16."""
    image = x.clone(memory_format=torch.preserve_format).requires_grad_()
    net.zero_grad(set_to_none=True)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        y = net(image)
    y.float().mul(torch.linspace(-1, 2, y.numel(), device=x.device).view(y.shape)).mean().backward()
    grads = [p.grad for p in net.parameters() if p.requires_grad]
    assert image.grad is not None
    assert all(grad is not None for grad in grads)
    return [y.detach(), image.grad, *(grad for grad in grads if grad is not None)]


def frozen(backbone: str = "small_gcn") -> nn.Module:
    """Return a network in channels last whose norms, with values of their own, are frozen."""
    torch.manual_seed(0)
    net = lively(models.build(Model(GCN(3), backbone=backbone), 4, head_std=0.0))
    freeze_bn(net)
    return net.to(memory_format=torch.channels_last).train()


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    """Say whether all tensors are the same bits."""
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
