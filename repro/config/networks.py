"""The networks: heads (Figure 4), the segmenter of Figure 2 A, the classifier of Tables 6 and 11."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Literal

from repro.config.errors import SpecError

PAPER_CHANNELS = 2048
"""Channels of res-5 in the paper's backbones; Table 4 gives ``m`` against this width."""


@dataclass(frozen=True)
class Convolution:
    """The shape of one convolution without bias."""

    height: int
    width: int
    in_channels: int
    out_channels: int
    groups: int = 1

    @property
    def params(self) -> int:
        """Number of weights."""
        return self.height * self.width * self.in_channels // self.groups * self.out_channels


class Head(ABC):
    """A map from the features of a stage to a score map of the same size; its names and plot style are in ``HEADS``."""

    @abstractmethod
    def convolutions(self, in_channels: int, num_classes: int) -> tuple[Convolution, ...]:
        """Return the convolutions, of which parameters and multiply-adds follow in closed form."""

    def normal(self) -> Head:
        """Return the head under which equal networks are hashed and named."""
        return self


def _odd(k: int, name: str) -> None:
    if k < 1 or k % 2 == 0:
        msg = f"{name}: kernel size must be odd and positive, got {k}"
        raise SpecError(msg)


@dataclass(frozen=True)
class GCN(Head):
    """Global convolution (Figure 4 A): ``k x 1, 1 x k`` plus ``1 x k, k x 1``.

    ``k`` is one size for every stage, or four sizes for res-2..res-5.
    """

    k: int | tuple[int, int, int, int]

    def __post_init__(self) -> None:
        """Refuse an even kernel (section 4.1.1: it would shift the map by half a cell)."""
        for k in (self.k,) if isinstance(self.k, int) else self.k:
            _odd(k, "GCN")

    def convolutions(self, in_channels: int, num_classes: int) -> tuple[Convolution, ...]:
        """Return the four convolutions, the left branch first."""
        k, c, n = self.k, in_channels, num_classes
        if not isinstance(k, int):
            msg = f"head {self!r}: no closed form (a GCN of one size per stage is counted by repro.models.flops)"
            raise SpecError(msg)
        return Convolution(k, 1, c, n), Convolution(1, k, n, n), Convolution(1, k, c, n), Convolution(k, 1, n, n)


@dataclass(frozen=True)
class Conv1x1(Head):
    """The baseline (Figure 4 B): one ``1 x 1`` convolution."""

    def convolutions(self, in_channels: int, num_classes: int) -> tuple[Convolution, ...]:
        """Return the one convolution."""
        return (Convolution(1, 1, in_channels, num_classes),)


@dataclass(frozen=True)
class Conv(Head):
    """The trivial large kernel (Figure 4 C): one ``k x k`` convolution."""

    k: int

    def __post_init__(self) -> None:
        """Refuse an even kernel."""
        _odd(self.k, "Conv")

    def convolutions(self, in_channels: int, num_classes: int) -> tuple[Convolution, ...]:
        """Return the one convolution."""
        return (Convolution(self.k, self.k, in_channels, num_classes),)


@dataclass(frozen=True)
class Stack(Head):
    """``(k - 1) / 2`` convolutions ``3 x 3`` (Figure 4 D) through ``m`` channels.

    The paper gives ``m`` for res-5 (2048 channels). At a stage of ``c`` channels the stack has
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

    def convolutions(self, in_channels: int, num_classes: int) -> tuple[Convolution, ...]:
        """Return the chain of ``3 x 3`` convolutions."""
        middle = max(1, round(in_channels * self.m / PAPER_CHANNELS))
        widths = [in_channels, *[middle] * ((self.k - 1) // 2 - 1), num_classes]
        return tuple(Convolution(3, 3, a, b) for a, b in pairwise(widths))

    def normal(self) -> Head:
        """Return ``Conv(3)`` for a stack of one ``3 x 3``, whatever its ``m``."""
        return Conv(3) if self.k == 3 else self  # noqa: PLR2004


@dataclass(frozen=True)
class HeadInfo:
    """Names and plot style of one type of head."""

    slug: str
    label: str
    colour: str
    marker: str
    dashes: str | tuple[float, ...]
    """Line style where lines have no markers: dash and gap in units of the line width; empty for a solid line."""
    fill: str
    """Light tint for the boxes of diagrams."""


HEADS: Mapping[type[Head], HeadInfo] = {
    Conv1x1: HeadInfo("base", "baseline 1×1", "#000000", "s", "", "#E3E3E3"),
    GCN: HeadInfo("gcn", "GCN", "#0072B2", "o", "", "#D3E7F4"),
    Conv: HeadInfo("conv", "Conv", "#D55E00", "^", (4, 1.2), "#F8DCC8"),
    Stack: HeadInfo("stack", "Stack", "#009E73", "v", (1, 1), "#D0EDE3"),
}
"""One row per type of head; its module is built by ``repro.models.heads.build_head``.

The colours are Okabe and Ito's, told apart under every common colour blindness.
"""


def head_info(head: Head) -> HeadInfo:
    """Return the row of a head; raise ``SpecError`` for a value that is none, or whose type has no row."""
    if type(head) not in HEADS:
        known = ", ".join(kind.__name__ for kind in HEADS)
        raise SpecError(f"head {head!r}: unknown; choose one of {known}, or add its row to repro.config.networks.HEADS")
    return HEADS[type(head.normal())]


def head_sizes(head: Head) -> dict[str, str]:
    """Return the sizes of a head that are not the default, as text: ``{"k": "7", "m": "210"}``."""
    found, head = {}, head.normal()
    for part in fields(head):  # type: ignore[arg-type] # every head is a dataclass
        value = getattr(head, part.name)
        if value != part.default:
            found[part.name] = "_".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return found


def head_name(head: Head) -> str:
    """Return the short name used in slugs, such as ``gcn-k7``."""
    return "-".join((head_info(head).slug, *(name + size for name, size in head_sizes(head).items())))


@dataclass(frozen=True)
class Model:
    """One network of Figure 2 A: a backbone, a head on each of its stages, BR or not."""

    head: Head
    refine: bool = False
    backbone: str = "resnet152"
    stride_in: Literal["conv1", "conv2"] = "conv1"
    """Convolution of a bottleneck that carries the stride: ``conv1`` (He 2015) or ``conv2`` (torchvision)."""
    branches: Literal["concat", "sum"] = "concat"
    """How the two branches of a ResNet-GCN block join (Figure 5 B)."""
    deconv: Literal["learned", "fixed"] = "learned"

    def __post_init__(self) -> None:
        """Refuse an unknown head before anything is trained."""
        head_info(self.head)


@dataclass(frozen=True)
class Classifier:
    """An ImageNet classifier (Table 6, Table 11): backbone, global average pool, linear layer."""

    backbone: str = "resnet50"
    stride_in: Literal["conv1", "conv2"] = "conv1"
    branches: Literal["concat", "sum"] = "concat"
