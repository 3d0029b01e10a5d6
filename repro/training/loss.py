"""The softmax loss over pixels that are not void, summed or averaged."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from repro.config.experiment import Run
from repro.config.networks import Classifier

IGNORE_INDEX, NO_VOID = 255, -100
ROWS_FROM = 16
"""Classes from which, on a CPU, the softmax of channels-last maps is faster as rows; a row fills a vector register."""


def loss_function(run: Run, world: int = 1) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return the softmax loss over all pixels that are not void (255), summed or averaged.

    Over ``world`` processes the mean is that of the global batch; a process's value is its share of it times
    ``world``, because gradients (and the logged losses) are averaged over processes.
    """
    reduction = run.recipe.loss
    void = NO_VOID if isinstance(run.model, Classifier) else IGNORE_INDEX

    def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        target = labels.long()
        exact = logits if logits.dtype == torch.float64 else logits.float()
        total = (_summed_on_gpu if exact.is_cuda else _summed_on_cpu)(exact, target, void)
        total = total * world if world > 1 else total
        if reduction == "sum":
            return total
        seen = (target != void).sum()
        if world > 1:
            torch.distributed.all_reduce(seen)
        # A batch of nothing but void must give 0, not 0 / 0.
        return total / seen.clamp(min=1)

    return loss


def _summed_on_cpu(logits: torch.Tensor, target: torch.Tensor, void: int) -> torch.Tensor:
    """Return the sum of -log softmax over pixels that are not void: logits (n, c, ...), target (n, ...) int64."""
    if logits.ndim > 2 and logits.stride(1) == 1 and logits.shape[1] >= ROWS_FROM:  # noqa: PLR2004 - maps
        logits, target = logits.movedim(1, -1).reshape(-1, logits.shape[1]), target.flatten()
    return nn.functional.cross_entropy(logits, target, ignore_index=void, reduction="sum")


def _summed_on_gpu(logits: torch.Tensor, target: torch.Tensor, void: int) -> torch.Tensor:
    """Return the same by an order of additions that is the same every time.

    On CUDA the sum of a map within the loss is made of atomic additions, and that of rows by one block of threads.
    """
    return nn.functional.cross_entropy(logits, target, ignore_index=void, reduction="none").sum()
