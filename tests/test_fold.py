"""Tests that a batch norm folded into its convolution changes nothing but rounding."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from repro import models
from repro.models.architectures import ARCHITECTURES
from repro.models.resnet import BatchNorm, Chain, ResNet, freeze_bn, normed
from repro.spec import GCN, Model


def set_folds(net: nn.Module, *, folds: bool) -> nn.Module:
    """Let every batch norm of ``net`` be folded, or none."""
    for module in net.modules():
        if isinstance(module, BatchNorm):
            module.folds = folds
    return net


def lively(net: nn.Module) -> nn.Module:
    """Give every batch norm statistics, weights and biases of its own; a new one is almost the identity."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for norm in (module for module in net.modules() if isinstance(module, BatchNorm)):
            for name, low in {"weight": 0.5, "bias": -0.5, "running_mean": -0.5, "running_var": 0.5}.items():
                value = getattr(norm, name)
                value.copy_(low + torch.rand(value.shape, generator=generator, dtype=torch.float64).to(value.dtype))
    return net


def both_ways(net: nn.Module, x: Tensor) -> list[list[Tensor]]:
    """Return outputs, gradient of x and of every parameter that trains: folded, then not."""
    found = []
    for folds in (True, False):
        set_folds(net, folds=folds).zero_grad(set_to_none=True)
        image = x.clone().requires_grad_()
        out = net(image)
        maps = list(out) if isinstance(out, tuple) else [out]
        sum((y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape)).mean() for y in maps).backward()
        assert image.grad is not None
        grads = [p.grad for p in net.parameters() if p.requires_grad]
        assert all(grad is not None for grad in grads)
        found.append([*(y.detach() for y in maps), image.grad, *(grad for grad in grads if grad is not None)])
    return found


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", ["small", "small_gcn"])
def test_frozen_backbone_is_the_same(name: str, dtype: torch.dtype, tolerance: float) -> None:
    """Frozen and in training mode: all maps and all gradients, each within ``tolerance`` of its largest value."""
    torch.manual_seed(0)
    net = lively(ResNet(ARCHITECTURES[name]).to(dtype))
    freeze_bn(net)
    folded, plain = both_ways(net.train(), torch.randn(2, 3, 32, 40, dtype=dtype))
    for one, other in zip(folded, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance * float(other.abs().max()))


def test_evaluation_is_the_same_for_norms_that_trained() -> None:
    """In evaluation mode the whole network, and the gradients of weights and biases of its norms."""
    torch.manual_seed(0)
    net = lively(models.build(Model(GCN(3), backbone="small"), 4, head_std=0.0).double()).eval()
    folded, plain = both_ways(net, torch.randn(1, 3, 32, 32, dtype=torch.float64))
    for one, other in zip(folded, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12 * float(other.abs().max()))


@pytest.mark.parametrize("norms_train", [False, True])
def test_lower_precision_rounds_the_product_once(norms_train: bool) -> None:
    """Weights times scale in float32, then bf16: the bits of torch's own casts, for output and every gradient."""
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 10, 3, padding=1, bias=False)
    norm = lively(BatchNorm(10)).eval().requires_grad_(norms_train)
    assert isinstance(norm, BatchNorm)
    images, grad = torch.randn(2, 6, 8, 9).bfloat16(), torch.randn(2, 10, 8, 9).bfloat16()
    assert norm.running_mean is not None
    assert norm.running_var is not None

    def expected(x: Tensor) -> Tensor:
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        weight = (conv.weight * scale[:, None, None, None]).bfloat16()
        return nn.functional.conv2d(x, weight, (norm.bias - norm.running_mean * scale).bfloat16(), padding=1)

    found = []
    for way in (lambda x: normed(conv, norm, x), expected):
        x = images.clone().requires_grad_()
        conv.zero_grad(), norm.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            y = way(x)
        y.backward(grad)
        kept = [p.grad.clone() for p in (*conv.parameters(), *norm.parameters()) if p.grad is not None]
        found.append([y.detach(), x.grad, *kept])
    assert len(found[0]) == (5 if norms_train else 3)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_norms_that_train_are_not_folded() -> None:
    """In training mode the statistics of the batch count, and they move."""
    net = ResNet(ARCHITECTURES["small"]).train()
    net(torch.randn(2, 3, 32, 32))
    assert net.bn1.running_mean is not None
    assert net.bn1.running_mean.abs().max() > 0


def test_state_dict_is_unchanged() -> None:
    """A chain has the names of ``nn.Sequential``; folding adds no tensor and moves none."""
    net = ResNet(ARCHITECTURES["small_gcn"])
    freeze_bn(net)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()(torch.randn(1, 3, 32, 32))
    after = net.state_dict()
    assert {"layer3.0.left.3.weight", "layer2.0.downsample.1.running_var"} <= after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_convolution_with_a_bias() -> None:
    """The bias is scaled with the weights."""
    torch.manual_seed(0)
    chain = lively(Chain(nn.Conv2d(3, 5, 3), BatchNorm(5), nn.ReLU(), BatchNorm(5)).double()).eval()
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    expected = chain[3](torch.relu(chain[1](chain[0](x))))  # type: ignore[index]
    torch.testing.assert_close(chain(x), expected, rtol=1e-12, atol=1e-12)


def test_bfloat16_is_rounded_once() -> None:
    """Under autocast the folded result is as near to float64 as the plain one, within a factor of 1.2."""
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(64, 32, 3, bias=False), BatchNorm(32)
    lively(norm).eval()
    x = torch.randn(2, 64, 12, 12)

    with torch.inference_mode():
        truth = copy.deepcopy(norm).double()(copy.deepcopy(conv).double()(x.double()))

    def error() -> float:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return float((normed(conv, norm, x).double() - truth).square().mean().sqrt())

    folded = error()
    norm.folds = False
    assert folded < 1.2 * error()
