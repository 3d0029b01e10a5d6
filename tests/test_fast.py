"""Tests that the one-product form of the global convolution is the plain one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from repro.config.networks import GCN
from repro.models import build_head
from repro.models.blocks import PAYS_FROM, GlobalConv, OneGemmGlobalConv


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
