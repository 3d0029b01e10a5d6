"""Batch normalisation: frozen, in lower precision, and over the global batch of several processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class _Folded:
    """Scale and shift of a batch norm in evaluation mode, folded into the convolution before it."""

    scale: Tensor
    """(channels), in the norm's own type."""
    shift: Tensor
    """(channels)."""
    sources: tuple[Tensor, ...] = ()
    """The tensors that both were computed from, referenced so that their ids stay unique."""
    state: object = None
    """``_state`` of the sources when both were computed."""
    factor: Tensor = field(init=False)
    """The scale as (channels, 1, 1, 1)."""
    _lower: dict[torch.dtype, Tensor] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", self.scale[:, None, None, None])

    def lowered(self, dtype: torch.dtype) -> Tensor:
        """Return the shift in a lower precision, cached where the sources can be checked for changes."""
        if dtype in self._lower:
            return self._lower[dtype]
        if self.state is None or _recorded(self.shift):
            return self.shift.to(dtype)
        with torch.inference_mode(mode=False), torch.no_grad():
            return self._lower.setdefault(dtype, self.shift.to(dtype))


def _recorded(tensor: Tensor) -> bool:
    """Whether operations on a tensor are captured in a CUDA graph, so that results exist only when it is replayed."""
    return tensor.is_cuda and torch.cuda.is_current_stream_capturing()


def _state(tensors: Sequence[Tensor]) -> object:
    """Return ids, addresses and versions of tensors, which change with any replacement, move or write.

    None where torch has no such numbers: inference tensors have no version, tensors of a tracer or of a function
    transform no memory.
    """
    if any(type(tensor) not in {Tensor, nn.Parameter} for tensor in tensors):
        return None
    try:
        return tuple((id(tensor), tensor.data_ptr(), tensor._version) for tensor in tensors)  # noqa: SLF001 - torch documents it, for this use
    except RuntimeError:
        return None


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that can be frozen: ``train()`` then leaves it in evaluation mode.

    While neither weight nor bias requires a gradient, scale and shift are cached. The cache is invalidated by
    ``train()``, ``eval()``, a move, and any change of weight, bias or statistics that torch versions (every in-place
    operation, ``load_state_dict`` too; not a write through ``.data``). No state dict, copy or pickle holds it.
    """

    frozen = False
    folds = True
    """Whether ``normed`` may fold this norm into its convolution; off where each operation is recorded."""
    _kept: _Folded | None = None

    def train(self, mode: bool = True) -> BatchNorm:  # noqa: FBT001, FBT002 - torch's own signature
        """Set the mode, unless frozen."""
        self._kept = None
        super().train(mode and not self.frozen)
        return self

    def _apply(self, fn: Any, recurse: bool = True) -> BatchNorm:  # noqa: ANN401, FBT001, FBT002 - torch's own signature
        self._kept = None  # a move replaces the memory behind the same tensors
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes without the cache."""
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}

    def folded(self) -> _Folded:
        """Return scale and shift in evaluation mode, from the cache where it is valid."""
        assert self.running_mean is not None
        assert self.running_var is not None
        sources = (self.weight, self.bias, self.running_mean, self.running_var)
        learns = self.weight.requires_grad or self.bias.requires_grad
        state = None if learns or torch.compiler.is_compiling() else _state(sources)
        if state is None:
            return self._fold((), None)
        if self._kept is not None and self._kept.state == state:
            return self._kept
        with torch.inference_mode(mode=False), torch.no_grad():  # training may use the values cached in evaluation
            found = self._fold(sources, state)
        if type(found.scale) is Tensor and not _recorded(found.scale):
            self._kept = found
        return found

    def _fold(self, sources: tuple[Tensor, ...], state: object) -> _Folded:
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return _Folded(scale, self.bias - self.running_mean * scale, sources, state)


def freeze_bn(module: nn.Module) -> None:
    """Fix the statistics, weights and biases of every batch norm in ``module``, now and after ``train()``."""
    for norm in module.modules():
        if isinstance(norm, BatchNorm):
            norm.frozen = True
            norm.eval().requires_grad_(requires_grad=False)


def normed(conv: nn.Conv2d, norm: nn.Module, x: Tensor) -> Tensor:
    """Return ``norm(conv(x))``; a batch norm in evaluation mode is folded into the weights and the bias.

    Gradients reach the convolution's weights and, where they train, the norm's. Weights and scale are multiplied in the
    weights' type, then rounded to autocast's. On torch's meta device, where operations are counted, both modules are
    called.
    """
    if not isinstance(norm, BatchNorm) or norm.training or not norm.folds or x.device.type == "meta":
        return torch.as_tensor(norm(conv(x)))
    folded, device = norm.folded(), conv.weight.device.type
    lower = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    if conv.bias is not None:
        shift = folded.shift + conv.bias * folded.scale
    else:
        shift = folded.shift if lower is None or folded.shift.requires_grad else folded.lowered(lower)
    weight = _scaled(conv.weight, folded.factor, lower)
    return functional.conv2d(x, weight, shift, conv.stride, conv.padding, conv.dilation, conv.groups)


def _scaled(weight: Tensor, factor: Tensor, lower: torch.dtype | None) -> Tensor:
    """Return weights (out, in, h, w) times (out, 1, 1, 1), in autocast's precision where the factor does not train."""
    if factor.requires_grad or lower is None:
        return weight * factor
    return torch.as_tensor(_Lowered.apply(weight, factor, lower))


class _Lowered(torch.autograd.Function):
    """``weight * factor`` rounded to a lower precision; the gradient is widened, then multiplied in place."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, factor: Tensor, lower: torch.dtype) -> Tensor:  # noqa: ANN401 - torch's context has no type
        ctx.save_for_backward(factor)
        return (weight * factor).to(lower)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401 - as above
        (factor,) = ctx.saved_tensors
        return grad.to(factor.dtype, copy=True).mul_(factor), None, None


class Chain(nn.Sequential):
    """``nn.Sequential`` that folds each batch norm into the convolution before it, see ``normed``."""

    def forward(self, x: Tensor) -> Tensor:
        """Run the chain."""
        parts = [*self, None]
        skip = False
        for part, following in pairwise(parts):
            if skip:
                skip = False
            elif isinstance(part, nn.Conv2d) and isinstance(following, BatchNorm):
                x, skip = normed(part, following, x), True
            else:
                assert part is not None
                x = part(x)
        return x


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
    """``BatchNorm`` with statistics over the images of all processes, for CPUs.

    torch's own ``SyncBatchNorm`` has no CPU form; this one has the same state dict as ``BatchNorm``.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name
        """Normalise (n, c, h, w) by the statistics of all processes; in evaluation mode as ``BatchNorm``."""
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
    """``BatchNorm`` with statistics over all processes, for GPUs: torch's ``SyncBatchNorm`` in fused kernels."""

    process_group = None


def synchronise(net: nn.Module, device: str) -> None:
    """Compute the statistics of every batch norm of ``net`` that trains over the global batch.

    Args:
        net: a network; names and values of its state dict do not change.
        device: type of the device for training.
    """
    kind = GlobalBatchNorm if device == "cpu" else DeviceBatchNorm
    for module in net.modules():
        if isinstance(module, BatchNorm) and not module.frozen:
            module.__class__ = kind
