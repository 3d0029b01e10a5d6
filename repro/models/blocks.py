"""The blocks of the paper's network (Figure 2): global convolution and its fast form, refinement, deconvolution."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv(in_channels: int, out_channels: int, height: int, width: int) -> nn.Conv2d:
    """Return a ``height x width`` convolution without bias that keeps the map's size (odd kernels)."""
    padding = (height // 2, width // 2)
    return nn.Conv2d(in_channels, out_channels, (height, width), padding=padding, bias=False)


class GlobalConv(nn.Module):
    """``(k x 1, 1 x k)`` plus ``(1 x k, k x 1)`` (Figure 2 B): dense over ``k x k`` at a cost of O(2/k).

    No bias and no non-linearity (section 3.1). Maps (n, in_channels, h, w) to (n, out_channels, h, w); every map
    in between keeps h and w.
    """

    def __init__(self, in_channels: int, out_channels: int, k: int) -> None:
        """Build the two branches for an odd ``k``."""
        super().__init__()
        self.left = nn.Sequential(conv(in_channels, out_channels, k, 1), conv(out_channels, out_channels, 1, k))
        self.right = nn.Sequential(conv(in_channels, out_channels, 1, k), conv(out_channels, out_channels, k, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in_channels, h, w) to (n, out_channels, h, w)."""
        score_map: Tensor = self.left(x).add_(self.right(x))
        return score_map


class BoundaryRefinement(nn.Module):
    """``s + residual(s)`` with ``residual = conv3x3(relu(conv3x3(s)))`` (Figure 2 C).

    All maps are (n, channels, h, w). The convolutions have biases and no batch norm (the paper specifies neither). The
    last convolution is initialised to zero, so the block starts as the identity; the first as in He 2015 with zero
    biases, so that no channel is dead at the start, however small the score map.
    """

    def __init__(self, channels: int) -> None:
        """Build the residual branch."""
        super().__init__()
        first, last = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        nn.init.kaiming_normal_(first.weight, nonlinearity="relu")
        nn.init.zeros_(last.weight)
        for module in (first, last):
            assert module.bias is not None
            nn.init.zeros_(module.bias)
        self.residual = nn.Sequential(first, nn.ReLU(inplace=True), last)

    def forward(self, s: Tensor) -> Tensor:
        """Refine a score map (n, channels, h, w)."""
        refined: Tensor = self.residual(s).add_(s)
        return refined


def bilinear_kernel(channels: int) -> Tensor:
    """Return the (channels, channels, 4, 4) weights with which a deconvolution doubles each map bilinearly."""
    line = torch.tensor([0.25, 0.75, 0.75, 0.25])
    return torch.eye(channels)[:, :, None, None] * torch.outer(line, line)


def deconv(channels: int, kind: Literal["learned", "fixed"] = "learned") -> nn.ConvTranspose2d:
    """Return a deconvolution, kernel 4, stride 2, padding 1, no bias: (n, c, h, w) to (n, c, 2h, 2w).

    Its weights are initialised to bilinear interpolation [Long 2015], then trained (``learned``) or kept (``fixed``).
    """
    layer = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(bilinear_kernel(channels))
    layer.weight.requires_grad_(kind == "learned")
    return layer


def pad_to_multiple(x: Tensor, stride: int) -> Tensor:
    """Pad (n, c, h, w) with zeros at the right and the bottom until ``stride`` divides h and w."""
    height, width = x.shape[-2:]
    bottom, right = -height % stride, -width % stride
    return functional.pad(x, (0, right, 0, bottom)) if bottom or right else x


PAYS_FROM = 128
"""Input channels from which one matrix product was faster at every k and size measured; below, shifts cost as much."""


def global_conv(in_channels: int, out_channels: int, k: int) -> GlobalConv:
    """Return the faster of the two equivalent forms of a global convolution."""
    kind = OneGemmGlobalConv if in_channels >= PAYS_FROM else GlobalConv
    return kind(in_channels, out_channels, k)


class OneGemmGlobalConv(GlobalConv):
    """``GlobalConv`` whose first ``k x 1`` and ``1 x k`` are one matrix product over the input.

    Every tap of both kernels is a row block of one ``(2 k out) x in_channels`` matrix; the maps of the taps are then
    shifted and summed. Same weights, same state dict, same result up to rounding. Devices other than the CPU, where the
    gain was measured (``benchmarks/heads.py``), use the plain convolutions.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in_channels, h, w) to (n, out_channels, h, w)."""
        if x.device.type != "cpu":
            return super().forward(x)
        first_left, second_left = self.left
        first_right, second_right = self.right
        column, row = _first(x, torch.as_tensor(first_left.weight), torch.as_tensor(first_right.weight))
        score_map: Tensor = second_left(column).add_(second_right(row))
        return score_map


def _first(x: Tensor, column: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """Return the convolutions of x (n, c, h, w) by ``column`` (out, c, k, 1) and ``row`` (out, c, 1, k)."""
    out, c, k, _ = column.shape
    n, _, h, w = x.shape
    taps = torch.cat((column[..., 0], row[:, :, 0]), 2).permute(2, 0, 1).reshape(2 * k * out, c)
    flat = x.permute(1, 0, 2, 3).reshape(c, n * h * w)
    maps = torch.mm(taps, flat).view(2, k, out, n, h, w)
    left, right = (_ShiftedSum.apply(maps[axis], axis) for axis in (0, 1))
    return left.transpose(0, 1), right.transpose(0, 1)


def _overlaps(k: int, size: int) -> list[tuple[int, int, int, int]]:
    """Return (tap, first target, first source, length) of every tap whose shift is smaller than ``size``."""
    shifts = ((i, i - k // 2) for i in range(k))
    return [(i, max(0, -s), max(0, s), size - abs(s)) for i, s in shifts if abs(s) < size]


class _ShiftedSum(torch.autograd.Function):
    """``y[p] = sum over i of maps[i][p + i - k // 2]`` along height (axis 0) or width (1), zeros outside.

    ``maps`` is (k, out, n, h, w), the sum (out, n, h, w), added up in float32.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, axis: int) -> Tensor:  # noqa: ANN401 - torch's context has no type
        ctx.k, ctx.axis = maps.shape[0], axis
        total = maps.new_zeros(maps.shape[1:], dtype=torch.float32 if maps.dtype == torch.bfloat16 else maps.dtype)
        for i, target, source, length in _overlaps(ctx.k, maps.shape[3 + axis]):
            total.narrow(2 + axis, target, length).add_(maps[i].narrow(2 + axis, source, length))
        return total.to(maps.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 - as above
        axis = ctx.axis
        maps = grad.new_zeros((ctx.k, *grad.shape))
        for i, target, source, length in _overlaps(ctx.k, grad.shape[2 + axis]):
            maps[i].narrow(2 + axis, source, length).copy_(grad.narrow(2 + axis, target, length))
        return maps, None
