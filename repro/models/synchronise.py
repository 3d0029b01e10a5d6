"""Batch normalisation over the global batch of several processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from repro.models.resnet import BatchNorm


class _Sum(torch.autograd.Function):
    """Sum over all processes; a gradient is the sum of all processes' gradients."""

    @staticmethod
    def forward(_: Any, part: Tensor) -> Tensor:  # noqa: ANN401 - torch's context has no type
        total = part.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, grad: Tensor) -> Tensor:  # noqa: ANN401 - as above
        return _everywhere(grad)


def _everywhere(part: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(part)
    return total


class GlobalBatchNorm(BatchNorm):
    """``BatchNorm`` whose statistics are those of all processes' images together, for CPUs.

    torch's own ``SyncBatchNorm`` has no CPU form; this one has the same state dict as ``BatchNorm``.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name
        """Normalise (n, c, h, w); in evaluation mode like any batch norm."""
        if not self.training:
            return super().forward(input)
        x = input if input.dtype == torch.float64 else input.float()
        count = x.numel() // x.shape[1] * torch.distributed.get_world_size()
        mean = _everywhere(x.sum((0, 2, 3))) / count
        centred = x - mean[:, None, None]
        variance = _everywhere(centred.square().sum((0, 2, 3))) / count
        self._remember(mean.detach(), variance.detach() * (count / max(1, count - 1)))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics, the variance without bias, as torch does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class DeviceBatchNorm(BatchNorm, nn.SyncBatchNorm):
    """The same by torch's own ``SyncBatchNorm``, for GPUs: one exchange a pass, in fused kernels."""

    process_group = None


def synchronise(net: nn.Module, device: str) -> None:
    """Let every batch norm of ``net`` that trains see the global batch; frozen ones have nothing to share.

    Args:
        net: a network; its state dict keeps its names and values.
        device: type of the device that it will train on.
    """
    kind = GlobalBatchNorm if device == "cpu" else DeviceBatchNorm
    for module in net.modules():
        if isinstance(module, BatchNorm) and not module.frozen:
            module.__class__ = kind
