"""Tests of the blocks of Figure 2: the map of each, its start, and the one-product form of GlobalConv."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch import Tensor, nn
from torch.nn import functional

from repro.config.networks import GCN
from repro.models import build_head
from repro.models.blocks import (
    PAYS_FROM,
    BoundaryRefinement,
    GlobalConv,
    OneGemmGlobalConv,
    bilinear_kernel,
    deconv,
    pad_to_multiple,
)


def maps_of(module: nn.Module, x: Tensor) -> list[tuple[int, ...]]:
    """Return the shape of every convolution's output, in order."""
    shapes: list[tuple[int, ...]] = []
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            child.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape)))
    module(x)
    return shapes


@pytest.mark.parametrize("k", [3, 7, 15])
def test_impulse_answers_in_a_square(k: int) -> None:
    """A GCN of size k answers an impulse in exactly a k x k square around it."""
    net = GlobalConv(1, 1, k)
    for parameter in net.parameters():
        nn.init.constant_(parameter, 1.0)
    x = torch.zeros(1, 1, 31, 33)
    x[0, 0, 15, 16] = 1
    square = torch.zeros(31, 33, dtype=torch.bool)
    r = k // 2
    square[15 - r : 16 + r, 16 - r : 17 + r] = True
    assert torch.equal(net(x)[0, 0] != 0, square)


def test_one_branch_alone_is_a_square_too() -> None:
    """Each branch reaches the whole square, so a missing branch would not show above; the sum is twice one."""
    net = GlobalConv(1, 1, 5)
    for parameter in net.parameters():
        nn.init.constant_(parameter, 1.0)
    x = torch.zeros(1, 1, 9, 9)
    x[0, 0, 4, 4] = 1
    assert torch.equal(net(x), 2 * net.left(x))
    assert torch.equal(net.left(x), net.right(x))


@pytest.mark.parametrize("k", [3, 9, 15])
def test_every_map_keeps_its_size(k: int) -> None:
    """Swapped padding in the right branch would make a map taller and narrower on the way."""
    shapes = maps_of(GlobalConv(4, 3, k), torch.randn(2, 4, 11, 17))
    assert shapes == [(2, 3, 11, 17)] * 4


def test_kernels_stand_as_drawn() -> None:
    """Left is k x 1 then 1 x k, right is 1 x k then k x 1, none with a bias (Figure 2 B)."""
    net = GlobalConv(8, 3, 7)
    convs = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    assert [module.kernel_size for module in convs] == [(7, 1), (1, 7), (1, 7), (7, 1)]
    assert [module.padding for module in convs] == [(3, 0), (0, 3), (0, 3), (3, 0)]
    assert [module.in_channels for module in convs] == [8, 3, 8, 3]
    assert all(module.bias is None for module in convs)


def test_equals_one_dense_kernel() -> None:
    """Without a non-linearity a GCN is one k x k convolution, borders included: compared with scipy's correlation."""
    torch.manual_seed(0)
    net = GlobalConv(3, 2, 5).double()
    x = torch.randn(1, 3, 8, 9, dtype=torch.float64)
    column, row = (module.weight.detach().numpy()[..., :] for module in net.left)  # type: ignore[union-attr]
    dense = np.einsum("mci,omj->ocij", column[..., 0], row[:, :, 0])
    row, column = (module.weight.detach().numpy() for module in net.right)  # type: ignore[union-attr]
    dense += np.einsum("mcj,omi->ocij", row[:, :, 0], column[..., 0])
    image = x[0].numpy()
    expected = [sum(correlate2d(image[c], dense[o, c], mode="same") for c in range(3)) for o in range(2)]
    np.testing.assert_allclose(net(x)[0].detach().numpy(), np.stack(expected), atol=1e-12)


def test_refinement_starts_as_identity() -> None:
    """The last convolution starts at zero, and the input is left as it was."""
    torch.manual_seed(0)
    x = torch.randn(2, 5, 6, 7)
    before = x.clone()
    block = BoundaryRefinement(5)
    assert torch.equal(block(x), before)
    assert torch.equal(x, before)


def test_refinement_is_a_residual() -> None:
    """With weights it is s + conv(relu(conv(s))), written out, and gradients reach both convolutions."""
    torch.manual_seed(0)
    block, s = BoundaryRefinement(4), torch.randn(1, 4, 5, 5)
    first, _, last = block.residual
    nn.init.normal_(last.weight)  # type: ignore[arg-type]
    inner = functional.conv2d(s, first.weight, first.bias, padding=1).clamp(min=0)  # type: ignore[arg-type]
    expected = s + functional.conv2d(inner, last.weight, last.bias, padding=1)  # type: ignore[arg-type]
    torch.testing.assert_close(block(s), expected)
    block(s).sum().backward()
    assert all(parameter.grad is not None for parameter in block.parameters())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in block.modules())


def test_deconvolution_starts_bilinear() -> None:
    """Inside, it equals torch's bilinear interpolation; each map stays by itself."""
    torch.manual_seed(0)
    x = torch.randn(1, 3, 6, 8)
    up = deconv(3)(x)
    expected = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    assert up.shape == (1, 3, 12, 16)
    torch.testing.assert_close(up[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def test_deconvolution_learned_or_fixed() -> None:
    """A fixed one has weights without gradients; both have the same kernel 4 and no bias."""
    assert deconv(2, "learned").weight.requires_grad
    fixed = deconv(2, "fixed")
    assert not fixed.weight.requires_grad
    assert fixed.bias is None
    assert torch.equal(fixed.weight, bilinear_kernel(2))


@pytest.mark.parametrize(("size", "padded"), [((375, 500), (384, 512)), ((32, 64), (32, 64)), ((1, 33), (32, 64))])
def test_padding_to_a_multiple(size: tuple[int, int], padded: tuple[int, int]) -> None:
    """Zeros go to the right and the bottom; the image stays in its corner."""
    x = torch.ones(1, 2, *size)
    y = pad_to_multiple(x, 32)
    assert y.shape[-2:] == padded
    assert torch.equal(y[..., : size[0], : size[1]], x)
    assert y.sum() == x.sum()


def pair(channels: int, k: int, dtype: torch.dtype) -> tuple[GlobalConv, GlobalConv]:
    """Return the plain and the fast form with the same weights, through the state dict."""
    torch.manual_seed(0)
    plain, fast = GlobalConv(channels, 5, k).to(dtype), OneGemmGlobalConv(channels, 5, k).to(dtype)
    fast.load_state_dict(plain.state_dict())
    return plain, fast


def pass_through(net: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the output, the gradient of x and those of the weights, for a loss that weighs every cell apart."""
    x = x.clone().requires_grad_()
    y = net(x)
    y.backward(torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape))
    assert x.grad is not None
    return [y.detach(), x.grad, *(parameter.grad for parameter in net.parameters())]  # type: ignore[list-item]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("k", "size"), [(1, (4, 5)), (3, (7, 9)), (7, (8, 6)), (15, (16, 16)), (15, (4, 20)), (9, (1, 2))]
)
def test_equals_the_four_convolutions(k: int, size: tuple[int, int], layout: torch.memory_format) -> None:
    """Outputs and all gradients agree in float64, also where the kernel is larger than the map."""
    plain, fast = pair(6, k, torch.float64)
    x = torch.randn(2, 6, *size, dtype=torch.float64).to(memory_format=layout)
    for expected, found in zip(pass_through(plain, x), pass_through(fast, x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_float32_agrees_to_rounding() -> None:
    """At the size of res-5 (2048 channels) the two differ by rounding alone."""
    plain, fast = pair(2048, 7, torch.float32)
    x = torch.randn(1, 2048, 8, 8)
    for expected, found in zip(pass_through(plain, x), pass_through(fast, x), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


def test_bfloat16_adds_up_in_float32() -> None:
    """Under autocast the result stays as close to float64 as that of the plain convolutions, within a factor of 2."""
    plain, fast = pair(64, 15, torch.float32)
    x = torch.randn(1, 64, 16, 16)
    exact = GlobalConv(64, 5, 15).double()
    exact.load_state_dict(plain.state_dict())
    with torch.inference_mode():
        truth = exact(x.double())
        with torch.autocast("cpu", torch.bfloat16):
            outs = plain(x), fast(x)
    plain_error, fast_error = ((out.double() - truth).square().mean().sqrt() for out in outs)
    assert outs[1].dtype == torch.bfloat16
    assert fast_error < 2 * plain_error


def test_chosen_where_it_pays() -> None:
    """Wide inputs take the product, narrow ones the convolutions."""
    assert type(build_head(GCN(3), PAYS_FROM, 2)) is OneGemmGlobalConv
    assert type(build_head(GCN(3), PAYS_FROM - 1, 2)) is GlobalConv


def test_hand_written_gradient() -> None:
    """Finite differences agree with the shifted sum's own backward pass."""
    _, fast = pair(2, 5, torch.float64)
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(fast, (x,))
