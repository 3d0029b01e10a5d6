"""The backbones by name: widths, blocks and strides, one line each."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import mul

from repro.config.errors import SpecError

NARROW = 128
"""Channels. The small networks have at most 48, ResNet-50 256 to 2048; widths between were not measured."""


@dataclass(frozen=True)
class Architecture:
    """A residual network of four stages, res-2 to res-5, after a stem of total stride 4 (Table 11)."""

    blocks: tuple[int, int, int, int]
    widths: tuple[int, int, int, int] = (256, 512, 1024, 2048)
    """Output channels of each stage."""
    strides: tuple[int, int, int, int] = (1, 2, 2, 2)
    """Stride of each stage's first block, 1 or 2."""
    expansion: int = 4
    """Output channels of a bottleneck over the channels of its middle convolution."""
    stem_width: int = 64
    stem_kernel: int = 7
    gcn: tuple[tuple[int, int] | None, ...] = (None, None, None, None)
    """``(k, m')`` of the stages made of ResNet-GCN blocks (Figure 5 B), ``None`` for bottlenecks."""

    @property
    def total_strides(self) -> tuple[int, ...]:
        """Stride of each stage's map against the image, such as (4, 8, 16, 32)."""
        return tuple(accumulate(self.strides, mul, initial=4))[1:]

    @property
    def narrow(self) -> bool:
        """Whether bf16 is no faster than float32 on a CPU (docs/decisions/0006)."""
        return max(self.widths) < NARROW

    def __post_init__(self) -> None:
        """Refuse strides that no doubling deconvolution can undo, and empty widths."""
        if any(stride not in (1, 2) for stride in self.strides) or math.prod(self.widths) < 1:
            msg = f"architecture: strides must be 1 or 2 and widths positive, got {self.strides} and {self.widths}"
            raise SpecError(msg)


_RESNET50 = Architecture((3, 4, 6, 3))
_SMALL = Architecture((1, 1, 1, 1), (24, 32, 48, 48), (1, 2, 1, 1), expansion=2, stem_width=16, stem_kernel=3)

ARCHITECTURES: dict[str, Architecture] = {
    "resnet50": _RESNET50,
    "resnet101": Architecture((3, 4, 23, 3)),
    "resnet152": Architecture((3, 8, 36, 3)),
    "resnet50_gcn": replace(_RESNET50, gcn=(None, None, (5, 85), (7, 128))),
    "small": _SMALL,
    "small_gcn": replace(_SMALL, gcn=(None, None, (5, 12), (7, 16))),
}


def architecture(name: str) -> Architecture:
    """Return the architecture of a name; raise ``SpecError`` with the known names for another."""
    if name not in ARCHITECTURES:
        msg = f"backbone: {name!r} is unknown; choose one of {', '.join(ARCHITECTURES)}"
        raise SpecError(msg)
    return ARCHITECTURES[name]
