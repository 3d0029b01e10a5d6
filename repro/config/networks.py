"""The networks: heads (Figure 4), the segmenter of Figure 2 A, the classifier of Tables 6 and 11."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from repro.config.errors import SpecError

PAPER_CHANNELS = 2048
"""Channels of res-5 in the paper's backbones; Table 4 prints ``m`` against this width."""


def _odd(k: int, name: str) -> None:
    if k < 1 or k % 2 == 0:
        msg = f"{name}: kernel size must be odd and positive, got {k}"
        raise SpecError(msg)


@dataclass(frozen=True)
class GCN:
    """Global convolution (Figure 4 A): ``k x 1, 1 x k`` plus ``1 x k, k x 1``.

    ``k`` is one size for every stage, or four sizes for res-2..res-5.
    """

    k: int | tuple[int, int, int, int]

    def __post_init__(self) -> None:
        """Refuse an even kernel (section 4.1.1: it would shift the map by half a cell)."""
        for k in (self.k,) if isinstance(self.k, int) else self.k:
            _odd(k, "GCN")


@dataclass(frozen=True)
class Conv1x1:
    """The baseline (Figure 4 B): one ``1 x 1`` convolution."""


@dataclass(frozen=True)
class Conv:
    """The trivial large kernel (Figure 4 C): one ``k x k`` convolution."""

    k: int

    def __post_init__(self) -> None:
        """Refuse an even kernel."""
        _odd(self.k, "Conv")


@dataclass(frozen=True)
class Stack:
    """``(k - 1) / 2`` convolutions ``3 x 3`` (Figure 4 D) through ``m`` channels.

    ``m`` is printed for res-5 (2048 channels). At a stage of ``c`` channels the stack has
    ``round(c * m / 2048)`` of them, so one value of ``m`` fits every stage and every backbone.
    """

    k: int
    m: int = PAPER_CHANNELS

    def __post_init__(self) -> None:
        """Refuse kernels that no stack of ``3 x 3`` can reach, and an empty width."""
        _odd(self.k, "Stack")
        if self.k == 1 or self.m < 1:
            msg = f"Stack: needs k >= 3 and m >= 1, got k={self.k}, m={self.m}"
            raise SpecError(msg)


Head = GCN | Conv1x1 | Conv | Stack


@dataclass(frozen=True)
class Model:
    """One network of Figure 2 A: a backbone, a head on each of its stages, BR or not."""

    head: Head
    refine: bool = False
    backbone: str = "resnet152"
    stride_in: Literal["conv1", "conv2"] = "conv1"
    """Which convolution of a bottleneck carries the stride: the original's or torchvision's."""
    branches: Literal["concat", "sum"] = "concat"
    """How the two branches of a ResNet-GCN block join (Figure 5 B)."""
    deconv: Literal["learned", "fixed"] = "learned"


@dataclass(frozen=True)
class Classifier:
    """An ImageNet classifier (Table 6, Table 11): backbone, global average pool, linear layer."""

    backbone: str = "resnet50"
    stride_in: Literal["conv1", "conv2"] = "conv1"
    branches: Literal["concat", "sum"] = "concat"
