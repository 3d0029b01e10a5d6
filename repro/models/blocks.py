"""The blocks of the paper's network: global convolution, boundary refinement, deconvolution (Figure 2)."""

from __future__ import annotations

from typing import Literal

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
        """Make the two branches for an odd ``k``."""
        super().__init__()
        self.left = nn.Sequential(conv(in_channels, out_channels, k, 1), conv(out_channels, out_channels, 1, k))
        self.right = nn.Sequential(conv(in_channels, out_channels, 1, k), conv(out_channels, out_channels, k, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in_channels, h, w) to (n, out_channels, h, w)."""
        score_map: Tensor = self.left(x).add_(self.right(x))
        return score_map


class BoundaryRefinement(nn.Module):
    """``s + residual(s)`` with ``residual = conv3x3(relu(conv3x3(s)))`` (Figure 2 C).

    All maps are (n, channels, h, w). The convolutions have biases and no batch norm (the paper names neither). The
    last one starts at zero, so the block starts as the identity; the first one as in He 2015 with zero biases, so
    that no channel starts dead however small the score map is.
    """

    def __init__(self, channels: int) -> None:
        """Make the residual branch."""
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

    Its weights start bilinear [Long 2015] and are trained, or stay so (``fixed``).
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
