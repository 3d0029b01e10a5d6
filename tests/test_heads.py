"""Tests of the four heads of Figure 4."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from repro.config.errors import SpecError
from repro.config.networks import GCN, Conv, Conv1x1, Head, Stack
from repro.models.heads import build_head, head_at, init_head, scaled

HEADS: list[Head] = [GCN(7), Conv1x1(), Conv(5), Stack(7, 1024), Stack(3, 512), GCN(15)]


@pytest.mark.parametrize("channels", [32, 160])
@pytest.mark.parametrize("head", HEADS, ids=str)
def test_every_map_keeps_height_and_width(head: Head, channels: int) -> None:
    """(n, in_channels, h, w) becomes (n, num_classes, h, w), and no map in between has another size."""
    module = build_head(head, channels, 5)
    sizes: list[tuple[int, ...]] = []
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            child.register_forward_hook(lambda _m, _i, out: sizes.append(tuple(out.shape[-2:])))
    assert module(torch.randn(2, channels, 9, 14)).shape == (2, 5, 9, 14)
    assert set(sizes) == {(9, 14)}


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_no_bias_and_no_non_linearity(head: Head) -> None:
    """A head is linear: f(a x + b y) = a f(x) + b f(y)."""
    module = build_head(head, 16, 3).double()
    x, y = torch.randn(2, 1, 16, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(module(2 * x - 3 * y), 2 * module(x) - 3 * module(y))
    assert not any(name.endswith("bias") for name, _ in module.named_parameters())


@pytest.mark.parametrize(("head", "reach"), [(GCN(5), 5), (Conv1x1(), 1), (Conv(5), 5), (Stack(5), 5), (Stack(11), 11)])
def test_reach(head: Head, reach: int) -> None:
    """An impulse is answered in a square as wide as the kernel's name says; a stack of (k - 1) / 2 reaches k."""
    module = build_head(head, 2, 1)
    for parameter in module.parameters():
        nn.init.constant_(parameter, 1.0)
    x = torch.zeros(1, 2, 15, 15)
    x[:, :, 7, 7] = 1
    answered = module(x)[0, 0] != 0
    assert answered.sum() == reach**2
    assert answered[7].sum() == reach


def test_stack_goes_through_m_channels() -> None:
    """2048 to m to m to 21 at res-5 for k = 7, and in proportion where a stage has fewer channels."""
    with torch.device("meta"):
        at_res5 = build_head(Stack(7, 210), 2048, 21)
        at_res2 = build_head(Stack(7, 210), 256, 21)
    assert [module.in_channels for module in at_res5.children()] == [2048, 210, 210]
    assert [module.in_channels for module in at_res2.children()] == [256, 26, 26]
    assert scaled(2048, 64) == 64
    assert scaled(1, 64) == 1


def test_stack_of_one_is_the_convolution() -> None:
    """Stack k = 3 and Conv k = 3 are one network, whatever m is."""
    stack, plain = build_head(Stack(3, 7), 16, 4), build_head(Conv(3), 16, 4)
    assert [p.shape for p in stack.parameters()] == [p.shape for p in plain.parameters()]


def test_gcn_of_four_sizes() -> None:
    """Each stage takes its own size; a single head cannot be built from four."""
    sizes = GCN((15, 11, 9, 7))
    assert [head_at(sizes, stage) for stage in (2, 3, 4, 5)] == [GCN(15), GCN(11), GCN(9), GCN(7)]
    assert head_at(Conv(3), 2) == Conv(3)
    with pytest.raises(SpecError, match="one kernel size"):
        build_head(sizes, 8, 2)


@pytest.mark.parametrize(("std", "first", "second"), [(0.01, 0.01, 0.01), (0.0, (64 * 9) ** -0.5, (40 * 9) ** -0.5)])
def test_start(std: float, first: float, second: float) -> None:
    """Weights are normal with the deviation asked for, or with 1 / sqrt(fan-in) of each convolution."""
    torch.manual_seed(0)
    module = build_head(GCN(9), 64, 40)
    init_head(module, std)
    found = [parameter.std().item() for parameter in module.parameters()]
    assert found == pytest.approx([first, second, first, second], rel=0.03)
    assert abs(torch.cat([parameter.flatten() for parameter in module.parameters()]).mean()) < 0.002
