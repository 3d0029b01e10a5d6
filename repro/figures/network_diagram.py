"""Sizes and channels of a network for the diagrams, from modules built on torch's meta device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from repro.config.networks import Classifier, head_name
from repro.config.networks import Head as HeadSpec
from repro.models import build, build_head
from repro.models.blocks import GlobalConv
from repro.models.network import ClassifierNet
from repro.models.resnet import Bottleneck, GCNBlock


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
    """A residual block of Figure 5: its branches, how they are joined, and the last convolution."""

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
    """One network of Figure 1: its maps, and the cells of the last one that an output sees."""

    title: str
    image: Map
    features: tuple[Map, ...]
    out: Map
    reach: int
    """Cells that one output sees along an axis; 0: all of them."""


@contextmanager
def _watched(net: nn.Module) -> Iterator[dict[nn.Module, Map]]:
    """Record the output map of each module during a forward pass."""
    seen: dict[nn.Module, Map] = {}

    def note(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor) and output.dim() == 4:  # noqa: PLR2004 - maps
            seen[module] = _map(output)

    handles = [module.register_forward_hook(note) for module in net.modules()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _map(x: Tensor) -> Map:
    return Map(*(int(side) for side in x.shape[1:4]))


def traced(make: Callable[[], nn.Module], image: Map) -> tuple[nn.Module, dict[nn.Module, Map]]:
    """Build a network on the meta device, run one image through it; return it with the output maps of its modules."""
    with torch.device("meta"), torch.no_grad():
        net = make().eval()
        with _watched(net) as seen:
            net(torch.empty(1, image.channels, image.height, image.width))
    return net, seen


def layer(module: nn.Module) -> Layer:
    """Return the shape of a convolution's weights."""
    assert isinstance(module, nn.Conv2d)
    height, width = module.kernel_size
    return Layer(int(height), int(width), module.in_channels // module.groups, module.out_channels)


def chain(module: nn.Module) -> tuple[Layer, ...]:
    """Return the convolutions of a module in order."""
    return tuple(layer(part) for part in module.modules() if isinstance(part, nn.Conv2d))


def branches(head: nn.Module) -> Branches:
    """Return the chains of convolutions of a head or of a residual block's branches."""
    if isinstance(head, GlobalConv | GCNBlock):
        return chain(head.left), chain(head.right)
    return (chain(head),)


def head(spec: HeadSpec, features: Map, num_classes: int = 21) -> Head:
    """Return one head of Figure 4 on a stage's features."""
    module, seen = traced(lambda: build_head(spec, features.channels, num_classes), features)
    return Head(head_name(spec), features, branches(module), seen[module])


def block(backbone: str, stage: str, size: int = 224) -> Block:
    """Return the last block of a stage (``res5``): its shortcut is an identity (Figure 5)."""
    net, seen = traced(lambda: build(Classifier(backbone), 1000), Map(3, size, size))
    assert isinstance(net, ClassifierNet)
    blocks = list(net.backbone.stages[stage].children())
    module = blocks[-1]
    assert isinstance(module, Bottleneck | GCNBlock)
    if isinstance(module, Bottleneck):
        chains: Branches = ((layer(module.conv1), layer(module.conv2)),)
        join = ""
    else:
        chains, join = branches(module), module.branches
    before = seen[blocks[-2]] if len(blocks) > 1 else seen[module]
    return Block(backbone, stage.replace("res", "res-"), before, chains, join, layer(module.conv3), seen[module])
