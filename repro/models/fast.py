"""The global convolution with its two first convolutions as one matrix product: the same function, faster."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from repro.models.blocks import GlobalConv

PAYS_FROM = 128
"""Input channels from which the product wins at every k and size measured; below it, shifting costs as much."""


def global_conv(in_channels: int, out_channels: int, k: int) -> GlobalConv:
    """Return the faster of the two equal forms of a global convolution."""
    kind = OneGemmGlobalConv if in_channels >= PAYS_FROM else GlobalConv
    return kind(in_channels, out_channels, k)


class OneGemmGlobalConv(GlobalConv):
    """``GlobalConv`` whose ``k x 1`` and ``1 x k`` read the input once.

    Every tap of both kernels is a row block of one ``(2 k out) x in_channels`` matrix; the maps of the taps are then
    shifted and summed. Same weights, same state dict, same result up to rounding. On other devices than the CPU it
    runs the plain convolutions: the gain was measured on the CPU (``benchmarks/heads.py``).
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
    """Return (tap, first target, first source, length) of every tap whose shift leaves something of ``size``."""
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
