"""Batches made on a stream of their own, so that a GPU copies and cuts the next one while it trains on this one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Batch = tuple[torch.Tensor, torch.Tensor]


class SideStream:
    """Makes batches on a side stream (``make``, in any thread) and hands them to the current one (``take``).

    The current stream waits for the batch's event, not the processor; each tensor is marked as used by it, so that its
    memory is not given to the side stream again before the training is done with it.
    """

    def __init__(self, function: Callable[[int], Batch], device: torch.device) -> None:
        """Keep the function; what the device was given before comes first."""
        self.function, self.device = function, device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.stream.wait_stream(torch.cuda.current_stream(device))

    def make(self, step: int) -> tuple[Batch, Any]:
        """Return the batch of a step and the event after which it is there."""
        with torch.cuda.device(self.device), torch.cuda.stream(self.stream):
            batch = self.function(step)
            return batch, self.stream.record_event()

    def take(self, made: tuple[Batch, Any]) -> Batch:
        """Return a batch that the current stream may use."""
        batch, event = made
        current = torch.cuda.current_stream(self.device)
        current.wait_event(event)
        for part in batch:
            part.record_stream(current)
        return batch
