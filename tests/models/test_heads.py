"""The heads of Figure 4: shapes, linearity, counts, names; every one of ``HEADS`` is tested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from repro.config.errors import SpecError
from repro.config.hashing import canonical
from repro.config.networks import GCN, HEADS, Conv, Conv1x1, Convolution, Head, Model, Stack, head_name
from repro.figures import style
from repro.models import flops
from repro.models.heads import build_head, head_at, init_head, scaled
from repro.paper.audit import closed_form
from repro.paper.schema import Cost
from repro.results.restore import NOUNS

NAMES: dict[Head, tuple[str, str]] = {
    GCN(7): ("gcn-k7", "GCN k=7"),
    GCN(15): ("gcn-k15", "GCN k=15"),
    Conv1x1(): ("base", "baseline 1×1"),
    Conv(5): ("conv-k5", "Conv k=5"),
    Stack(7): ("stack-k7", "Stack k=7"),
    Stack(7, 1024): ("stack-k7-m1024", "Stack k=7, m=1024"),
    Stack(3, 512): ("conv-k3", "Conv k=3"),
}
"""Every type of head at some size: its slug and its label."""
SAMPLES = list(NAMES)


def test_every_head_is_tested() -> None:
    """The tests below see every row of ``HEADS``; two rows share no slug and no label."""
    assert {type(head) for head in SAMPLES} == set(HEADS)
    assert len({row.slug for row in HEADS.values()}) == len({row.label for row in HEADS.values()}) == len(HEADS)


@pytest.mark.parametrize("head", SAMPLES, ids=str)
def test_names(head: Head) -> None:
    """A head has its slug, its label, a style, and the tree of its key gives it back."""
    slug, label = NAMES[head]
    assert head_name(head) == slug
    assert style.label(Model(head)) == label
    assert style.label(Model(head, refine=True), size=False) == f"{label.partition(' k=')[0]} + BR"
    assert style.FAMILIES[style.family(Model(head))]
    tree = canonical(head)
    assert NOUNS[tree.pop("type")](**tree) == head.normal()


def test_name_of_four_sizes() -> None:
    """The sizes of the stages stand in a slug one after the other."""
    assert head_name(GCN((15, 11, 9, 7))) == "gcn-k15_11_9_7"


@pytest.mark.parametrize("head", SAMPLES, ids=str)
def test_closed_form_against_the_module(head: Head) -> None:
    """Parameters and multiply-adds agree at another width, number of classes and map."""
    assert closed_form.head_params(head, 1024, 19) == flops.head_params(head, 1024, 19)
    macs = closed_form.count(Cost(head, "macs", 1024, 19, size=320))
    assert macs == flops.head_macs(head, 1024, 19, 10, 10)


@dataclass(frozen=True)
class Unregistered(Head):
    """A head without a row."""

    def convolutions(self, in_channels: int, num_classes: int) -> tuple[Convolution, ...]:
        """Return one convolution."""
        return (Convolution(1, 1, in_channels, num_classes),)


@pytest.mark.parametrize("head", [Unregistered(), "gcn", GCN], ids=str)
def test_an_unknown_head_is_refused(head: Any) -> None:
    """No network can be specified with it, nothing names, counts or builds it."""
    for use in (Model, head_name, closed_form.head_params):
        with pytest.raises(SpecError, match=r"unknown; choose one of .*, or add its row"):
            use(head)
    with pytest.raises(SpecError, match="no builder; add its case"):
        build_head(head, 8, 2)


@pytest.mark.parametrize("channels", [32, 160])
@pytest.mark.parametrize("head", SAMPLES, ids=str)
def test_every_map_keeps_height_and_width(head: Head, channels: int) -> None:
    """(n, in_channels, h, w) becomes (n, num_classes, h, w), and no map in between has another size."""
    module = build_head(head, channels, 5)
    sizes: list[tuple[int, ...]] = []
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            child.register_forward_hook(lambda _m, _i, out: sizes.append(tuple(out.shape[-2:])))
    assert module(torch.randn(2, channels, 9, 14)).shape == (2, 5, 9, 14)
    assert set(sizes) == {(9, 14)}


@pytest.mark.parametrize("head", SAMPLES, ids=str)
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
