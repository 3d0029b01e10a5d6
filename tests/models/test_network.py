"""Tests of the whole network (Figure 2 A) and of its parts' number and order."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from repro.config.networks import GCN, Classifier, Conv, Conv1x1, Head, Model, Stack
from repro.models import Network, build
from repro.models.blocks import BoundaryRefinement
from repro.models.network import STAGES

PAPER = Model(GCN(15), refine=True)
SMALL_GCN = GCN(3)


def network(head: Head = SMALL_GCN, classes: int = 4, **options: object) -> Network:
    """Return a small network in evaluation mode."""
    torch.manual_seed(0)
    net = build(Model(head, backbone="small", **options), classes).eval()  # type: ignore[arg-type]
    assert isinstance(net, Network)
    return net


def count(net: nn.Module, kind: type[nn.Module]) -> int:
    """Return the number of modules of a kind."""
    return sum(isinstance(module, kind) for module in net.modules())


class Operators(TorchDispatchMode):
    """Writes down the names of the operators that run, and the sizes that transposed convolutions give."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        super().__init__()
        self.names: set[str] = set()
        self.doubled: list[int] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN204
        """Run the operator and note it."""
        out = func(*args, **(kwargs or {}))
        self.names.add(str(func))
        if "convolution" in str(func) and args[6]:
            self.doubled.append(out.shape[-1])
        return out


def test_parts_of_the_papers_network() -> None:
    """ResNet-152 with GCN and BR has 5 deconvolutions and 9 refinements: 4 after heads, 3 after sums, 2 in the tail."""
    with torch.device("meta"):
        net = build(PAPER, 21)
        plain = build(Model(GCN(15)), 21)
    assert isinstance(net, Network)
    assert count(net, nn.ConvTranspose2d) == count(plain, nn.ConvTranspose2d) == 5
    assert count(net, BoundaryRefinement) == 9
    assert count(plain, BoundaryRefinement) == 0
    parts = [count(part, BoundaryRefinement) for part in (net.refine_head, net.refine_sum, net.tail)]
    assert parts == [4, 3, 2]


def test_deconvolutions_double_up_to_the_image() -> None:
    """For 512 x 512 they give 32, 64, 128, 256, 512, by transposed convolution and by nothing else."""
    with torch.device("meta"), torch.no_grad(), Operators() as seen:
        logits = build(PAPER, 21).eval()(torch.empty(1, 3, 512, 512))
    assert seen.doubled == [32, 64, 128, 256, 512]
    assert not any("upsample" in name or "grid_sample" in name for name in seen.names)
    assert logits.shape == (1, 21, 512, 512)


def test_equals_figure_2_written_out() -> None:
    """The sum of score maps from coarse to fine, written as a loop over torch functions, gives the same logits."""
    torch.manual_seed(1)
    net = build(Model(Conv(3), backbone="resnet50"), 3, head_std=0.1).eval()
    assert isinstance(net, Network)
    x = torch.randn(1, 3, 64, 32)
    with torch.inference_mode():
        res2, res3, res4, res5 = net.backbone(x)
        score = torch.zeros(())
        for name, features in (("res5", res5), ("res4", res4), ("res3", res3), ("res2", res2)):
            weight = net.head[name].weight
            score = score + functional.conv2d(features, weight, padding=1)  # type: ignore[arg-type]
            kernel = (net.up[name] if name in net.up else net.tail[0][0]).weight  # type: ignore[index]
            if name != "res2":
                kernel = net.up[{"res5": "res4", "res4": "res3", "res3": "res2"}[name]].weight
            score = functional.conv_transpose2d(score, kernel, stride=2, padding=1)  # type: ignore[arg-type]
        expected = functional.conv_transpose2d(score, net.tail[1][0].weight, stride=2, padding=1)  # type: ignore[index]
        torch.testing.assert_close(net(x), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("size", [(37, 51), (8, 8), (1, 1), (40, 64)])
@pytest.mark.parametrize("refine", [False, True])
def test_any_size(size: tuple[int, int], refine: bool) -> None:
    """Logits have the image's size, and are those of the image padded with zeros at the right and bottom."""
    net = network(refine=refine)
    x = torch.randn(1, 3, *size)
    with torch.inference_mode():
        logits = net(x)
        padded = functional.pad(x, (0, -size[1] % 8, 0, -size[0] % 8))
        assert logits.shape == (1, 4, *size)
        torch.testing.assert_close(logits, net(padded)[..., : size[0], : size[1]])


def test_a_voc_image_through_the_papers_network() -> None:
    """375 x 500, no multiple of 32, comes out at its own size."""
    with torch.device("meta"):
        assert build(PAPER, 21)(torch.empty(1, 3, 375, 500)).shape == (1, 21, 375, 500)


def test_equal_resolutions_are_summed_as_they_are() -> None:
    """The small backbone has three stages at stride 8: one deconvolution between stages, two in the tail."""
    net = network(refine=True)
    assert net.backbone.strides == (4, 8, 8, 8)
    assert {name: type(up) for name, up in net.up.items()} == {
        "res2": nn.ConvTranspose2d,
        "res3": nn.Identity,
        "res4": nn.Identity,
    }
    assert count(net, nn.ConvTranspose2d) == 3
    assert count(net, BoundaryRefinement) == 9


def test_refinement_changes_nothing_at_the_start() -> None:
    """BR starts as identity, so a refined network with the same weights starts with the same logits."""
    plain, refined = network(), network(refine=True)
    refined.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(plain(x), refined(x))


def test_each_stage_its_own_kernel() -> None:
    """GCN of four sizes gives res-2..res-5 one each; one size gives all the same."""
    kernels = network(GCN((9, 7, 5, 3))).head
    assert [kernels[name].left[0].kernel_size[0] for name in STAGES] == [9, 7, 5, 3]  # type: ignore[index, union-attr]
    assert {network(GCN(5)).head[name].left[0].kernel_size[0] for name in STAGES} == {5}  # type: ignore[index, union-attr]


@pytest.mark.parametrize("head", [GCN(5), Conv1x1(), Conv(3), Stack(5, 1024)], ids=str)
def test_gradients_reach_everything(head: Head) -> None:
    """One backward pass gives every parameter a finite gradient."""
    net = network(head, refine=True).train()
    for block in net.modules():
        if isinstance(block, BoundaryRefinement):
            nn.init.normal_(block.residual[2].weight, std=0.1)  # type: ignore[arg-type]
    net(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in net.parameters())


def test_fixed_deconvolutions_have_no_gradient() -> None:
    """``deconv="fixed"`` keeps every deconvolution bilinear."""
    net = network(deconv="fixed")
    ups = [module for module in net.modules() if isinstance(module, nn.ConvTranspose2d)]
    assert not any(up.weight.requires_grad for up in ups)


def test_classifier_averages_the_last_map() -> None:
    """Logits are the linear layer of res-5's mean, at any image size."""
    torch.manual_seed(0)
    net = build(Classifier("small_gcn"), 6).eval()
    x = torch.randn(2, 3, 40, 56)
    with torch.inference_mode():
        expected = net.fc(net.backbone(x)[-1].flatten(2).mean(-1))  # type: ignore[operator]
        torch.testing.assert_close(net(x), expected)
