"""Residual backbones: ResNet with the stride where the paper has it, and ResNet-GCN (Figure 5, Table 11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from repro.models.architectures import Architecture

StrideIn = Literal["conv1", "conv2"]
Branches = Literal["concat", "sum"]


@dataclass(frozen=True)
class _Folded:
    """What a batch norm in evaluation mode multiplies a convolution's weights by and adds to its output."""

    scale: Tensor
    """(channels), in the norm's own type."""
    shift: Tensor
    """(channels)."""
    sources: tuple[Tensor, ...] = ()
    """The tensors that both were computed from, held so that no other tensor gets their ids."""
    state: object = None
    """``_state`` of the sources at that time."""
    factor: Tensor = field(init=False)
    """The scale as (channels, 1, 1, 1)."""
    _lower: dict[torch.dtype, Tensor] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", self.scale[:, None, None, None])

    def lowered(self, dtype: torch.dtype) -> Tensor:
        """Return the shift in a lower precision, rounded once where it is kept."""
        if dtype in self._lower:
            return self._lower[dtype]
        if self.state is None or _recorded(self.shift):
            return self.shift.to(dtype)
        with torch.inference_mode(mode=False), torch.no_grad():
            return self._lower.setdefault(dtype, self.shift.to(dtype))


def _recorded(tensor: Tensor) -> bool:
    """Whether operations on a tensor are recorded for a CUDA graph: their results are there when it is replayed."""
    return tensor.is_cuda and torch.cuda.is_current_stream_capturing()


def _state(tensors: Sequence[Tensor]) -> object:
    """Return what changes when one of the tensors is exchanged, moved or written to; None where torch cannot tell.

    Inference tensors have no version; tensors of a tracer or of a function transform have no memory.
    """
    if any(type(tensor) not in {Tensor, nn.Parameter} for tensor in tensors):
        return None
    try:
        return tuple((id(tensor), tensor.data_ptr(), tensor._version) for tensor in tensors)  # noqa: SLF001 - torch documents it, for this use
    except RuntimeError:
        return None


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that can be frozen: then ``train()`` leaves it in evaluation mode.

    While neither weight nor bias asks for a gradient, its scale and shift are computed once. They are computed again
    after ``train()``, ``eval()``, a move and any change of weight, bias or statistics that torch counts (every
    operation in place, ``load_state_dict`` too; not a write through ``.data``). They are part of no state dict, copy
    or pickle.
    """

    frozen = False
    folds = True
    """Whether ``normed`` may fold this norm into its convolution; off where each operation is to be seen."""
    _kept: _Folded | None = None

    def train(self, mode: bool = True) -> BatchNorm:  # noqa: FBT001, FBT002 - torch's own signature
        """Set the mode, unless frozen."""
        self._kept = None
        super().train(mode and not self.frozen)
        return self

    def _apply(self, fn: Any, recurse: bool = True) -> BatchNorm:  # noqa: ANN401, FBT001, FBT002 - torch's own signature
        self._kept = None  # a move exchanges the memory behind the same tensors
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes without what is kept."""
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}

    def folded(self) -> _Folded:
        """Return scale and shift in evaluation mode: the kept ones where they still hold."""
        assert self.running_mean is not None
        assert self.running_var is not None
        sources = (self.weight, self.bias, self.running_mean, self.running_var)
        learns = self.weight.requires_grad or self.bias.requires_grad
        state = None if learns or torch.compiler.is_compiling() else _state(sources)
        if state is None:
            return self._fold((), None)
        if self._kept is not None and self._kept.state == state:
            return self._kept
        with torch.inference_mode(mode=False), torch.no_grad():  # a training may use what an evaluation kept
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
    """Return ``norm(conv(x))``; a batch norm in evaluation mode costs nothing, its scale is part of the weights.

    Gradients reach the convolution's weights and, where they train, the norm's. The product of weights and scale is
    taken in the weights' own type; a lower precision comes after it. On torch's meta device, where operations are
    counted, both modules are called.
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
    """``weight * factor``, then a lower precision; the gradient is multiplied where it was widened, in one memory."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, factor: Tensor, lower: torch.dtype) -> Tensor:  # noqa: ANN401 - torch's context has no type
        ctx.save_for_backward(factor)
        return (weight * factor).to(lower)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401 - as above
        (factor,) = ctx.saved_tensors
        return grad.to(factor.dtype, copy=True).mul_(factor), None, None


class Chain(nn.Sequential):
    """Modules one behind the other, each batch norm folded into the convolution before it where it can be."""

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


class Bottleneck(nn.Module):
    """``1 x 1, 3 x 3, 1 x 1`` with a shortcut (Figure 5 A): (n, c, h, w) to (n, out, h / stride, w / stride)."""

    def __init__(self, in_channels: int, mid: int, out: int, stride: int, stride_in: StrideIn) -> None:
        """Put the stride into the first ``1 x 1`` (He 2015) or into the ``3 x 3`` (torchvision)."""
        super().__init__()
        first, second = (stride, 1) if stride_in == "conv1" else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, mid, 1, first, bias=False)
        self.bn1 = BatchNorm(mid)
        self.conv2 = nn.Conv2d(mid, mid, 3, second, 1, bias=False)
        self.bn2 = BatchNorm(mid)
        self.conv3 = nn.Conv2d(mid, out, 1, bias=False)
        self.bn3 = BatchNorm(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(in_channels, out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in_channels, h, w) to (n, out, h / stride, w / stride)."""
        y = self.relu(normed(self.conv1, self.bn1, x))
        y = self.relu(normed(self.conv2, self.bn2, y))
        y = self.relu(normed(self.conv3, self.bn3, y).add_(x if self.downsample is None else self.downsample(x)))
        return torch.as_tensor(y)


class GCNBlock(nn.Module):
    """``1 x k, k x 1`` beside ``k x 1, 1 x k``, then ``1 x 1``, with a shortcut (Figure 5 B).

    Batch norm and ReLU follow each convolution of the branches, batch norm alone the last one. The branches are
    concatenated (which gives the block the parameters of the bottleneck it replaces) or summed. Each branch's
    first convolution carries the stride.
    """

    def __init__(self, in_channels: int, mid: int, out: int, stride: int, k: int, branches: Branches) -> None:
        """Make the branches with ``mid`` channels (m' in Figure 5)."""
        super().__init__()
        self.branches = branches
        self.left = _branch(in_channels, mid, stride, (1, k))
        self.right = _branch(in_channels, mid, stride, (k, 1))
        self.conv3 = nn.Conv2d(mid * (2 if branches == "concat" else 1), out, 1, bias=False)
        self.bn3 = BatchNorm(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(in_channels, out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in_channels, h, w) to (n, out, h / stride, w / stride)."""
        left, right = self.left(x), self.right(x)
        joined = torch.cat((left, right), 1) if self.branches == "concat" else left + right
        y = normed(self.conv3, self.bn3, joined).add_(x if self.downsample is None else self.downsample(x))
        return torch.as_tensor(self.relu(y))


def _branch(in_channels: int, mid: int, stride: int, kernel: tuple[int, int]) -> Chain:
    """Return one branch: a convolution of ``kernel``, then one of the transposed kernel."""
    height, width = kernel
    return Chain(
        nn.Conv2d(in_channels, mid, (height, width), stride, (height // 2, width // 2), bias=False),
        BatchNorm(mid),
        nn.ReLU(inplace=True),
        nn.Conv2d(mid, mid, (width, height), 1, (width // 2, height // 2), bias=False),
        BatchNorm(mid),
        nn.ReLU(inplace=True),
    )


def shortcut(in_channels: int, out: int, stride: int) -> Chain | None:
    """Return the projection of a shortcut, or ``None`` where the identity fits."""
    if stride == 1 and in_channels == out:
        return None
    return Chain(nn.Conv2d(in_channels, out, 1, stride, bias=False), BatchNorm(out))


class ResNet(nn.Module):
    """A backbone under torchvision's names: image (n, 3, h, w) to the maps of res-2, res-3, res-4, res-5.

    ``channels`` and ``strides`` describe the four maps. Convolutions start as in He 2015 (normal, fan-out, ReLU).
    """

    def __init__(self, arch: Architecture, stride_in: StrideIn = "conv1", branches: Branches = "concat") -> None:
        """Make the stem (``conv1``, ``bn1``) and the stages (``layer1`` to ``layer4``)."""
        super().__init__()
        self.channels, self.strides = arch.widths, arch.total_strides
        self.conv1 = nn.Conv2d(3, arch.stem_width, arch.stem_kernel, 2, arch.stem_kernel // 2, bias=False)
        self.bn1 = BatchNorm(arch.stem_width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if arch.pool else nn.Identity()
        widths = (arch.stem_width, *arch.widths)
        for i, in_channels in enumerate(widths[:-1]):
            self.add_module(f"layer{i + 1}", _stage(arch, i, in_channels, stride_in, branches))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def stages(self) -> dict[str, nn.Module]:
        """The four stages under the paper's names, ``res2`` to ``res5``."""
        return {f"res{i + 1}": self.get_submodule(f"layer{i}") for i in range(1, 5)}

    def stem(self, x: Tensor) -> Tensor:
        """Map an image (n, 3, h, w) to conv-1's features, pooled."""
        return torch.as_tensor(self.maxpool(self.relu(normed(self.conv1, self.bn1, x))))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of res-2 to res-5, of ``channels[i]`` channels at ``1 / strides[i]`` of the size."""
        x = self.stem(x)
        maps = []
        for stage in self.stages.values():
            x = stage(x)
            maps.append(x)
        return tuple(maps)


def _stage(arch: Architecture, i: int, in_channels: int, stride_in: StrideIn, branches: Branches) -> nn.Sequential:
    """Return stage ``i`` (0 for res-2): its first block carries the stride."""
    out, gcn = arch.widths[i], arch.gcn[i]
    blocks: list[nn.Module] = []
    for n in range(arch.blocks[i]):
        c, stride = (out, 1) if n else (in_channels, arch.strides[i])
        if gcn is None:
            blocks.append(Bottleneck(c, out // arch.expansion, out, stride, stride_in))
        else:
            blocks.append(GCNBlock(c, gcn[1], out, stride, gcn[0], branches))
    return nn.Sequential(*blocks)
