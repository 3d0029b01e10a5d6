"""Tests of the backbones, with torchvision as the independent implementation."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn

from repro.config.errors import SpecError
from repro.config.networks import Classifier
from repro.models import build, freeze_bn
from repro.models.architectures import ARCHITECTURES, Architecture, architecture
from repro.models.norm import BatchNorm
from repro.models.resnet import Bottleneck, GCNBlock, ResNet


@pytest.mark.parametrize("name", ["resnet50", "resnet101", "resnet152"])
def test_keys_and_shapes_are_torchvisions(name: str) -> None:
    """The state dict of the backbone plus ``fc`` has torchvision's keys and shapes, for either stride."""
    import torchvision

    with torch.device("meta"):
        theirs = {key: value.shape for key, value in getattr(torchvision.models, name)().state_dict().items()}
        ours = build(Classifier(name), 1000).state_dict()
    assert {key.removeprefix("backbone."): value.shape for key, value in ours.items()} == theirs


def test_output_is_torchvisions() -> None:
    """With its weights and the stride in the 3 x 3, ResNet-50 gives torchvision's logits."""
    import torchvision

    torch.manual_seed(0)
    theirs = torchvision.models.resnet50().eval()
    ours = build(Classifier(stride_in="conv2"), 1000).eval()
    weights = theirs.state_dict()
    ours.load_state_dict({key if key.startswith("fc.") else f"backbone.{key}": weights[key] for key in weights})
    x = torch.randn(2, 3, 96, 64)
    with torch.inference_mode():
        expected = theirs(x)
        found = ours(x)
        other = build(Classifier(stride_in="conv1"), 1000).eval()
        other.load_state_dict(ours.state_dict())
        moved = other(x)
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-5)
    assert (moved - expected).abs().max() > 1e-3 * scale


@pytest.mark.parametrize(("stride_in", "place"), [("conv1", "conv1"), ("conv2", "conv2")])
def test_where_the_stride_is(stride_in: str, place: str) -> None:
    """Only the first block of res-3, res-4 and res-5 has a stride, in the convolution that is named."""
    with torch.device("meta"):
        net = ResNet(ARCHITECTURES["resnet50"], stride_in)  # type: ignore[arg-type]
    strided = {
        name for name, module in net.named_modules() if isinstance(module, nn.Conv2d) and module.stride == (2, 2)
    }
    expected = {f"layer{i}.0.{part}" for i in (2, 3, 4) for part in (place, "downsample.0")}
    assert strided == expected | {"conv1"}


def test_gcn_backbone_is_table_11s() -> None:
    """Res-4 and res-5 are made of GCN blocks (k = 5, m' = 85; k = 7, m' = 128), res-2 and res-3 of bottlenecks."""
    with torch.device("meta"):
        net = ResNet(ARCHITECTURES["resnet50_gcn"])
    kinds = {name: {type(block) for block in stage.children()} for name, stage in net.stages.items()}
    assert kinds == {"res2": {Bottleneck}, "res3": {Bottleneck}, "res4": {GCNBlock}, "res5": {GCNBlock}}
    res4, res5 = net.stages["res4"], net.stages["res5"]
    first, last = res4.get_submodule("0"), res5.get_submodule("2")
    assert [conv.weight.shape for conv in (first.left[0], first.right[0])] == [(85, 512, 1, 5), (85, 512, 5, 1)]  # type: ignore[index]
    assert [conv.weight.shape for conv in (last.left[3], last.right[3])] == [(128, 128, 7, 1), (128, 128, 1, 7)]  # type: ignore[index]


def test_concatenation_has_the_parameters_of_a_bottleneck() -> None:
    """A concatenated res-4 block is within 1 % of the bottleneck it replaces; a summed one is 8 % short."""

    def size(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    with torch.device("meta"):
        plain = size(Bottleneck(1024, 256, 1024, 1, "conv1"))
        concat = size(GCNBlock(1024, 85, 1024, 1, 5, "concat"))
        summed = size(GCNBlock(1024, 85, 1024, 1, 5, "sum"))
    assert abs(concat / plain - 1) < 0.01
    assert summed / plain < 0.93


def test_branches_join_as_asked() -> None:
    """The last convolution reads both branches side by side, or their sum; the block equals its formula."""
    torch.manual_seed(0)
    x = torch.randn(2, 6, 9, 10)
    for branches in ("concat", "sum"):
        block = GCNBlock(6, 4, 6, 1, 5, branches).eval()  # type: ignore[arg-type]
        left, right = block.left(x), block.right(x)
        joined = torch.cat((left, right), 1) if branches == "concat" else left + right
        torch.testing.assert_close(block(x), torch.relu(block.bn3(block.conv3(joined)) + x))
        assert left.min() >= 0
        assert left.shape == (2, 4, 9, 10)


@pytest.mark.parametrize("name", ["resnet50", "resnet50_gcn", "small", "small_gcn"])
def test_each_batch_norm_is_used_once(name: str) -> None:
    """A forward pass calls every batch norm and every convolution exactly once."""
    with torch.device("meta"):
        net = ResNet(ARCHITECTURES[name]).eval()
        calls: Counter[nn.Module] = Counter()
        layers = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d | nn.Conv2d)]
        for module in layers:
            module.register_forward_hook(lambda module, _i, _o: calls.update([module]))
        net(torch.empty(1, 3, 64, 64))
    assert all(calls[module] == 1 for module in layers)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_maps_are_as_described(name: str) -> None:
    """``channels`` and ``strides`` describe the four maps that come out."""
    with torch.device("meta"):
        net = ResNet(ARCHITECTURES[name])
        maps = net(torch.empty(1, 3, 128, 192))
    assert [m.shape[1] for m in maps] == list(net.channels)
    assert [(128 // m.shape[2], 192 // m.shape[3]) for m in maps] == [(s, s) for s in net.strides]


def test_papers_strides_and_widths() -> None:
    """Figure 2 A: strides 4, 8, 16, 32 and channels 256, 512, 1024, 2048."""
    arch = ARCHITECTURES["resnet152"]
    assert arch.total_strides == (4, 8, 16, 32)
    assert arch.widths == (256, 512, 1024, 2048)
    assert arch.blocks == (3, 8, 36, 3)


def test_frozen_batch_norm_stays() -> None:
    """After ``freeze_bn``, training mode moves no statistics and asks for no gradients; convolutions still train."""
    net = ResNet(ARCHITECTURES["small"])
    freeze_bn(net)
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items() if "bn" in name}
    net(torch.randn(2, 3, 32, 32))[-1].sum().backward()
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())
    norms = [module for module in net.modules() if isinstance(module, BatchNorm)]
    assert not any(norm.training or norm.weight.requires_grad or norm.bias.requires_grad for norm in norms)
    assert net.conv1.weight.grad is not None


def test_thawed_batch_norm_moves() -> None:
    """Without ``freeze_bn``, the same step moves the statistics (so the test above can fail)."""
    net = ResNet(ARCHITECTURES["small"]).train()
    net(torch.randn(2, 3, 32, 32))
    assert net.bn1.running_mean is not None
    assert net.bn1.running_mean.abs().max() > 0


def test_faults() -> None:
    """An unknown name lists the known ones; a stride that no deconvolution doubles back is refused."""
    with pytest.raises(SpecError, match="'vgg' is unknown; choose one of resnet50, "):
        architecture("vgg")
    with pytest.raises(SpecError, match="strides must be 1 or 2"):
        Architecture((1, 1, 1, 1), strides=(1, 2, 4, 1))
