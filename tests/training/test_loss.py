"""Tests of repro.training.loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from repro.config.experiment import Run
from repro.training.loss import IGNORE_INDEX, ROWS_FROM, _summed_on_cpu, _summed_on_gpu, loss_function


def test_void_pixels_do_not_train(run: Run) -> None:
    """A batch of nothing but void has loss 0 and no gradient that is nan; the sum counts pixels, not void."""
    logits = torch.randn(1, 6, 4, 4, requires_grad=True)
    void = torch.full((1, 4, 4), 255, dtype=torch.uint8)
    value = loss_function(run)(logits, void)
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    labels = torch.zeros(1, 4, 4, dtype=torch.uint8)
    labels[0, 0] = 255
    summed = loss_function(replace(run, recipe=replace(run.recipe, loss="sum")))
    torch.testing.assert_close(summed(logits, labels), 12 * loss_function(run)(logits, labels))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("classes", [6, ROWS_FROM, 21])
def test_loss_is_that_of_any_layout(run: Run, reduction: str, classes: int) -> None:
    """Channels last (rows of classes), cropped or not, and the default layout: the same loss and gradient, float64."""
    loss = loss_function(replace(run, recipe=replace(run.recipe, loss=reduction)))  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, 9, 8, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, classes, (2, 9, 7), generator=generator).to(torch.uint8)
    labels[:, 2:4] = 255
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        leaf = logits.clone(memory_format=layout).requires_grad_()
        value = loss(leaf[..., :7], labels)
        (gradient,) = torch.autograd.grad(value, leaf)
        found.append((value.detach(), gradient))
    weights = (labels != 255).double()
    picked = torch.log_softmax(logits[..., :7], 1).gather(1, (labels.long() % 255)[:, None])[:, 0]
    expected = -(picked * weights).sum() / (weights.sum() if reduction == "mean" else 1)
    for value, gradient in found:
        torch.testing.assert_close(value, expected, rtol=1e-13, atol=0)
        torch.testing.assert_close(gradient, found[0][1], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(2, 6, 9, 8), (2, 21, 9, 8), (8, 5)])
def test_the_sum_on_a_gpu_is_that_on_a_cpu(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Pixels first, then their sum: value and gradient to rounding, void without a gradient, all void 0."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator, dtype=dtype)
    labels = torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)
    labels[0] = IGNORE_INDEX
    layouts = (torch.contiguous_format, torch.channels_last) if len(shape) == 4 else (torch.contiguous_format,)
    for layout in layouts:
        found = []
        for summed in (_summed_on_cpu, _summed_on_gpu):
            leaf = logits.clone(memory_format=layout).requires_grad_()
            value = summed(leaf, labels, IGNORE_INDEX)
            found.append((value.detach(), *torch.autograd.grad(value, leaf)))
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(found[1][0], found[0][0], rtol=16 * eps, atol=0)
        torch.testing.assert_close(found[1][1], found[0][1], rtol=16 * eps, atol=eps)
        assert found[1][1][0].abs().max() == 0
        assert _summed_on_gpu(logits, torch.full_like(labels, IGNORE_INDEX), IGNORE_INDEX) == 0
