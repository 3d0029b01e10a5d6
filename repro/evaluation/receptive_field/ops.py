"""Operations of a network on windows: the cells that each one reads, those it affects, and its arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Span = tuple[int, int]
"""Cells ``lo`` to ``hi - 1`` along one axis; cells outside the map are padding."""
Box = tuple[Span, Span]
"""Rows and columns."""
_NONE = torch.empty(0)


@dataclass(frozen=True)
class Taps:
    """Along one axis, output ``o`` reads the inputs ``o * stride - padding + (0 .. extent - 1)``."""

    extent: int = 1
    stride: int = 1
    padding: int = 0

    def gather(self, span: Span) -> Span:
        """Return the inputs that these outputs read."""
        lo, hi = span
        return lo * self.stride - self.padding, (hi - 1) * self.stride - self.padding + self.extent

    def scatter(self, span: Span) -> Span:
        """Return the outputs that read any of these inputs."""
        lo, hi = span
        return -((self.extent - 1 - lo - self.padding) // self.stride), (hi - 1 + self.padding) // self.stride + 1


@dataclass(frozen=True, eq=False)
class Step:
    """One operation, which maps windows of its inputs, padding included, to a window of its output.

    The base class is the identity: the image, a pad or a crop (``taps`` with a padding above or below 0).
    """

    inputs: tuple[int, ...]
    taps: tuple[Taps, Taps] = (Taps(), Taps())
    fill: float = 0.0
    """Value of padding."""
    relu: bool = False
    size: tuple[int, int] = (0, 0)
    """Height and width of the whole output."""

    def reads(self, axis: int, span: Span) -> Span:
        """Return the inputs behind these outputs."""
        return self.taps[axis].gather(span)

    def reaches(self, axis: int, span: Span) -> Span:
        """Return the outputs that change with these inputs."""
        return self.taps[axis].scatter(span)

    def compute(self, windows: Sequence[Tensor]) -> Tensor:
        """Return all outputs that the windows determine."""
        return windows[0]

    def __call__(self, windows: Sequence[Tensor], box: Box) -> Tensor:
        """Return the outputs in ``box`` from the windows that it reads, (n, c, rows, columns)."""
        del box
        out = self.compute(windows)
        return functional.relu(out, inplace=out is not windows[0]) if self.relu else out


@dataclass(frozen=True, eq=False)
class Conv(Step):
    """A convolution."""

    weight: Tensor = _NONE
    bias: Tensor | None = None
    stride: tuple[int, ...] = (1, 1)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
    channels_axis = 0
    """Axis of the output channels in the weights."""

    def compute(self, windows: Sequence[Tensor]) -> Tensor:
        """Convolve without padding."""
        return functional.conv2d(windows[0], self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


@dataclass(frozen=True, eq=False)
class Deconv(Conv):
    """A transposed convolution: gather and scatter are exchanged."""

    channels_axis = 1

    def reads(self, axis: int, span: Span) -> Span:
        """Return the inputs behind these outputs."""
        return self.taps[axis].scatter(span)

    def reaches(self, axis: int, span: Span) -> Span:
        """Return the outputs that change with these inputs."""
        return self.taps[axis].gather(span)

    def compute(self, windows: Sequence[Tensor]) -> Tensor:
        """Return all outputs that the windows affect."""
        return functional.conv_transpose2d(
            windows[0], self.weight, self.bias, self.stride, 0, 0, self.groups, self.dilation
        )

    def __call__(self, windows: Sequence[Tensor], box: Box) -> Tensor:
        """Return the outputs in ``box``, cropped from all outputs that the windows affect."""
        out = self.compute(windows)
        for axis, (lo, hi) in enumerate(box):
            out = out.narrow(2 + axis, lo - self.reaches(axis, self.reads(axis, (lo, hi)))[0], hi - lo)
        return functional.relu(out) if self.relu else out


@dataclass(frozen=True, eq=False)
class MaxPool(Step):
    """A max pool; padding is minus infinity."""

    fill: float = -torch.inf
    kernel: tuple[int, ...] = (2, 2)
    stride: tuple[int, ...] = (2, 2)

    def compute(self, windows: Sequence[Tensor]) -> Tensor:
        """Pool without padding."""
        return functional.max_pool2d(windows[0], list(self.kernel), list(self.stride))


@dataclass(frozen=True, eq=False)
class Add(Step):
    """``a + alpha * b``."""

    alpha: float = 1.0

    def compute(self, windows: Sequence[Tensor]) -> Tensor:
        """Add elementwise."""
        return torch.add(windows[0], windows[1], alpha=self.alpha)


@dataclass(frozen=True, eq=False)
class Concat(Step):
    """Concatenation along the channels."""

    def compute(self, windows: Sequence[Tensor]) -> Tensor:
        """Concatenate."""
        return torch.cat(list(windows), 1)


@dataclass(frozen=True, eq=False)
class Norm(Step):
    """A batch norm that is not folded into a convolution: ``x * scale + shift``, both (c, 1, 1) float64."""

    scale: Tensor = _NONE
    shift: Tensor = _NONE

    def compute(self, windows: Sequence[Tensor]) -> Tensor:
        """Scale and shift each channel."""
        return torch.addcmul(self.shift, windows[0].double(), self.scale).to(windows[0].dtype)
