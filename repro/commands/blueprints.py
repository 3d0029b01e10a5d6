"""Read off the built networks what the diagrams show; built on torch's meta device, so nothing is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from repro.keys import head_name
from repro.models import build, build_head
from repro.models.blocks import BoundaryRefinement, GlobalConv
from repro.models.network import STAGES, ClassifierNet, Network
from repro.models.resnet import Bottleneck, GCNBlock
from repro.render.figures.blueprint import Block, Branches, Doubling, Head, Layer, Map, Pipeline, Shape, Stage
from repro.spec import GCN, Classifier, Conv, Conv1x1, Model, Stack
from repro.spec import Head as HeadSpec


@contextmanager
def _watched(net: nn.Module) -> Iterator[dict[nn.Module, Map]]:
    """Collect the map that each module gives while images run through the network."""
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


def _run(make: Callable[[], nn.Module], image: Map) -> tuple[nn.Module, dict[nn.Module, Map]]:
    """Build a network on the meta device, run one image through it, return it with the maps it gave."""
    with torch.device("meta"), torch.no_grad():
        net = make().eval()
        with _watched(net) as seen:
            net(torch.empty(1, image.channels, image.height, image.width))
    return net, seen


def layer(module: nn.Module) -> Layer:
    """Return a convolution's weights as they are."""
    assert isinstance(module, nn.Conv2d)
    height, width = module.kernel_size
    return Layer(int(height), int(width), module.in_channels, module.out_channels)


def _chain(module: nn.Module) -> tuple[Layer, ...]:
    return tuple(layer(part) for part in module.modules() if isinstance(part, nn.Conv2d))


def branches(head: nn.Module) -> Branches:
    """Return the chains of convolutions of a head or of a residual block's branches."""
    if isinstance(head, GlobalConv | GCNBlock):
        return _chain(head.left), _chain(head.right)
    return (_chain(head),)


def pipeline(model: Model, num_classes: int = 21, size: tuple[int, int] = (512, 512)) -> Pipeline:
    """Return Figure 2 of a model, for images of ``size`` (height, width)."""
    image = Map(3, *size)
    net, seen = _run(lambda: build(model, num_classes), image)
    assert isinstance(net, Network)
    refiner = next((part for part in net.modules() if isinstance(part, BoundaryRefinement)), None)
    return Pipeline(
        backbone=model.backbone,
        image=image,
        stem=seen[net.backbone.conv1],
        stages=tuple(_stage(net, seen, name) for name in reversed(STAGES)),
        tail=tuple(Doubling(seen[step[0]], _refines(step[1])) for step in net.tail.children()),  # type: ignore[index]
        refinement=_chain(refiner) if refiner is not None else (),
    )


def _refines(module: nn.Module) -> bool:
    return isinstance(module, BoundaryRefinement)


def _stage(net: Network, seen: dict[nn.Module, Map], name: str) -> Stage:
    module, features = net.head[name], seen[net.backbone.stages[name]]
    head = Head("GCN" if isinstance(module, GlobalConv) else "head", features, branches(module), seen[module])
    summed = name in net.up
    grows = summed and isinstance(net.up[name], nn.ConvTranspose2d)
    return Stage(
        name=name.replace("res", "res-"),
        head=head,
        up=seen[net.up[name]] if grows else None,
        refined_head=_refines(net.refine_head[name]),
        refined_sum=summed and _refines(net.refine_sum[name]),
    )


def head(spec: HeadSpec, features: Map, num_classes: int = 21) -> Head:
    """Return one head of Figure 4 on a stage's features."""
    module, seen = _run(lambda: build_head(spec, features.channels, num_classes), features)
    return Head(head_name(spec), features, branches(module), seen[module])


def block(backbone: str, stage: str, size: int = 224) -> Block:
    """Return the last block of a stage (``res5``): its shortcut is an identity (Figure 5)."""
    net, seen = _run(lambda: build(Classifier(backbone), 1000), Map(3, size, size))
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


def shape(title: str, model: Model | Classifier, num_classes: int, size: int) -> Shape:
    """Return one network of Figure 1; a classifier pools, so one output sees every cell."""
    image = Map(3, size, size)
    net, seen = _run(lambda: build(model, num_classes), image)
    assert isinstance(net, Network | ClassifierNet)
    features = tuple(seen[part] for part in (net.backbone.conv1, *net.backbone.stages.values()))
    if isinstance(net, ClassifierNet):
        return Shape(title, image, features, Map(net.fc.out_features, 1, 1), 0)
    deepest = branches(net.head[STAGES[-1]])
    reach = 1 + max(sum(part.width - 1 for part in chain) for chain in deepest)
    return Shape(title, image, features, seen[net.head[STAGES[-1]]], reach)


def figure1() -> tuple[Shape, ...]:
    """Return the three networks of Figure 1 at the sizes that the paper trains and tests them."""
    return (
        shape("Classification", Classifier("resnet152"), 1000, 224),
        shape("Conventional", Model(Conv1x1()), 21, 512),
        shape("GCN, k = 15", Model(GCN(15)), 21, 512),
    )


def figure2() -> Pipeline:
    """Return the paper's network: ResNet-152, GCN k = 15 and BR, at 512 x 512."""
    return pipeline(Model(GCN(15), refine=True))


def figure4() -> tuple[Head, ...]:
    """Return the four heads after res-5 at k = 7, where Tables 2 to 4 compare all of them."""
    features = Map(2048, 16, 16)
    return tuple(head(spec, features) for spec in (GCN(7), Conv1x1(), Conv(7), Stack(7)))


def figure5() -> tuple[tuple[Block, Block], ...]:
    """Return the pairs of blocks in which ResNet-50 and ResNet50-GCN differ (Table 11)."""
    return tuple((block("resnet50", stage), block("resnet50_gcn", stage)) for stage in ("res5", "res4"))
