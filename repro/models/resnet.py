"""Residual backbones: ResNet with a choice of where the stride is, and ResNet-GCN (Figure 5, Table 11)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from repro.models.architectures import Architecture
from repro.models.norm import BatchNorm, Chain, normed

StrideIn = Literal["conv1", "conv2"]
Branches = Literal["concat", "sum"]


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
    concatenated (the block then has about the parameters of the bottleneck it replaces) or summed. The first
    convolution of each branch carries the stride.
    """

    def __init__(self, in_channels: int, mid: int, out: int, stride: int, k: int, branches: Branches) -> None:
        """Build the branches with ``mid`` channels (m' in Figure 5)."""
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
    """A backbone with torchvision's parameter names: image (n, 3, h, w) to the maps of res-2, res-3, res-4, res-5.

    ``channels`` and ``strides`` describe the four maps. Convolutions are initialised as in He 2015 (normal, fan-out).
    """

    def __init__(self, arch: Architecture, stride_in: StrideIn = "conv1", branches: Branches = "concat") -> None:
        """Build the stem (``conv1``, ``bn1``) and the stages (``layer1`` to ``layer4``)."""
        super().__init__()
        self.channels, self.strides = arch.widths, arch.total_strides
        self.conv1 = nn.Conv2d(3, arch.stem_width, arch.stem_kernel, 2, arch.stem_kernel // 2, bias=False)
        self.bn1 = BatchNorm(arch.stem_width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = (arch.stem_width, *arch.widths)
        for i, in_channels in enumerate(widths[:-1]):
            self.add_module(f"layer{i + 1}", _stage(arch, i, in_channels, stride_in, branches))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def stages(self) -> dict[str, nn.Module]:
        """The four stages by the paper's names, ``res2`` to ``res5``."""
        return {f"res{i + 1}": self.get_submodule(f"layer{i}") for i in range(1, 5)}

    def stem(self, x: Tensor) -> Tensor:
        """Map images (n, 3, h, w) to the pooled features of conv-1, (n, stem_width, h / 4, w / 4)."""
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
