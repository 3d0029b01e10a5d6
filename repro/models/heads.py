"""The heads of Figure 4, each a map from features to a score map of the same size."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from repro.config.errors import SpecError
from repro.config.networks import GCN, PAPER_CHANNELS, Conv, Conv1x1, Head, Stack
from repro.models.blocks import conv, global_conv


def build_head(head: Head, in_channels: int, num_classes: int) -> nn.Module:
    """Return one head of Figure 4: (n, in_channels, h, w) to (n, num_classes, h, w), no bias, no non-linearity.

    Raises:
        SpecError: the head is a ``GCN`` with one size per stage, where a single stage is built, or has no builder.
    """
    match head:
        case GCN(int(k)):  # A
            return global_conv(in_channels, num_classes, k)
        case Conv1x1():  # B
            return conv(in_channels, num_classes, 1, 1)
        case Conv(k):  # C
            return conv(in_channels, num_classes, k, k)
        case Stack(k, m):  # D
            return _stack(in_channels, scaled(m, in_channels), num_classes, (k - 1) // 2)
        case GCN():
            raise SpecError(f"build_head: one stage needs one kernel size, got {head}; use head_at(head, stage)")
        case _:
            raise SpecError(f"head {head!r}: has no builder; add its case to repro.models.heads.build_head")


def scaled(m: int, in_channels: int) -> int:
    """Return the width of a stack at a stage of ``in_channels`` channels: ``in_channels * m / 2048``, at least 1."""
    return max(1, round(in_channels * m / PAPER_CHANNELS))


def _stack(in_channels: int, m: int, num_classes: int, depth: int) -> nn.Sequential:
    widths = [in_channels, *[m] * (depth - 1), num_classes]
    return nn.Sequential(*(conv(c, out, 3, 3) for c, out in pairwise(widths)))


def head_at(head: Head, stage: int) -> Head:
    """Return the head of one stage (2..5) where a ``GCN`` names four sizes; any other head as it is."""
    return GCN(head.k[stage - 2]) if isinstance(head, GCN) and isinstance(head.k, tuple) else head


def init_head(head: nn.Module, std: float) -> None:
    """Draw every convolution of a head from normal(0, std).

    With ``std`` 0 the deviation of each convolution is ``1 / sqrt(in_channels * kernel height * kernel width)``, which
    preserves the variance of the maps through a convolution without non-linearity.
    """
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            if std:
                nn.init.normal_(module.weight, 0.0, std)
            else:
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="linear")
