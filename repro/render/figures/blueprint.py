"""What the diagrams show of a built network: frozen sizes and channels, without torch."""

from __future__ import annotations

from dataclasses import dataclass


class FigureError(ValueError):
    """A figure that cannot be drawn, in one sentence with the command that helps."""


@dataclass(frozen=True)
class Map:
    """The output of a module: (channels, height, width)."""

    channels: int
    height: int
    width: int

    @property
    def text(self) -> str:
        """Height, width and channels, as Figure 2 writes them."""
        return f"{self.height}×{self.width}×{self.channels}"


@dataclass(frozen=True)
class Layer:
    """The weights of one convolution."""

    height: int
    width: int
    in_channels: int
    out_channels: int

    @property
    def params(self) -> int:
        """Weights, bias left out."""
        return self.height * self.width * self.in_channels * self.out_channels

    @property
    def kernel(self) -> str:
        """Kernel size."""
        return f"{self.height} × {self.width}"

    @property
    def channels(self) -> str:
        """Channels in and out."""
        return f"{self.in_channels} → {self.out_channels}"


Branches = tuple[tuple[Layer, ...], ...]
"""Chains of convolutions that start from the same map and are summed: two for GCN, one for the other heads."""


@dataclass(frozen=True)
class Head:
    """One head of Figure 4 on the features of one stage."""

    name: str
    features: Map
    branches: Branches
    score: Map

    @property
    def params(self) -> int:
        """Weights of all its convolutions."""
        return sum(layer.params for branch in self.branches for layer in branch)


@dataclass(frozen=True)
class Stage:
    """One row of Figure 2 A."""

    name: str
    head: Head
    up: Map | None
    """The upsampled lower score map that is added; None at the lowest stage, and where both have one size."""
    refined_head: bool
    refined_sum: bool


@dataclass(frozen=True)
class Doubling:
    """One step of the tail: a deconvolution, and BR after it or not."""

    out: Map
    refined: bool


@dataclass(frozen=True)
class Pipeline:
    """Figure 2 whole. ``stages`` run from the lowest (res-5) to the highest."""

    backbone: str
    image: Map
    stem: Map
    stages: tuple[Stage, ...]
    tail: tuple[Doubling, ...]
    refinement: tuple[Layer, ...]
    """The convolutions of one BR block; empty without BR."""


@dataclass(frozen=True)
class Block:
    """A residual block of Figure 5: its branches, how they join, and the convolution after that."""

    backbone: str
    stage: str
    features: Map
    branches: Branches
    join: str
    last: Layer
    out: Map

    @property
    def params(self) -> int:
        """Weights of all convolutions of the block, its shortcut an identity."""
        return self.last.params + sum(layer.params for branch in self.branches for layer in branch)


@dataclass(frozen=True)
class Shape:
    """One network of Figure 1: the width of its maps, and how many cells of the last one a classifier sees."""

    title: str
    image: Map
    features: tuple[Map, ...]
    out: Map
    reach: int
    """Cells that one output sees along an axis; 0: all of them."""
