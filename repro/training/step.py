"""One step of a training on a batch: operation by operation, or captured once as a CUDA graph and replayed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from repro.training.optimizer import LearningRates

WARM_STEPS = 3
"""Steps that run before the capture: libraries choose their algorithms, the optimiser makes its state."""

Call = Callable[[], Tensor]


class Graphs(Protocol):
    """How a device records the operations of a call without doing them, to do them again and again."""

    def aside(self, call: Call) -> Tensor:
        """Do a call where ``capture`` will record it, after what was asked for before and before what comes."""

    def capture(self, call: Call) -> tuple[Callable[[], object], Tensor]:
        """Record a call; return what does it, and the tensor that it then writes its result to.

        Raises:
            RuntimeError: the call cannot be recorded; nothing of it was done.
        """


class CudaGraphs:
    """CUDA graphs, recorded on a stream of their own and replayed on the current one."""

    def __init__(self, device: torch.device) -> None:
        """Make the stream."""
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def aside(self, call: Call) -> Tensor:
        """Run a call on the stream."""
        current = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            value = call()
        current.wait_stream(self.stream)
        return value

    def capture(self, call: Call) -> tuple[Callable[[], object], Tensor]:
        """Record a call; other threads, which make batches, may go on using the device meanwhile."""
        current = torch.cuda.current_stream(self.stream.device)
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        try:
            with torch.cuda.graph(graph, pool=pool, stream=self.stream, capture_error_mode="thread_local"):
                value = call()
        except RuntimeError:
            # Where ending the capture fails, torch leaves the stream current and its allocator recording: the memory
            # of the attempt would never come back. Where it did end, the first call raises and the rest is done.
            torch.cuda.set_stream(current)
            with suppress(RuntimeError):
                torch._C._cuda_endAllocateToPool(self.stream.device_index, pool)  # noqa: SLF001 - no public name
                torch._C._cuda_releasePool(self.stream.device_index, pool)  # noqa: SLF001 - as above
            raise
        return graph.replay, value


@dataclass(eq=False)
class EagerStep:
    """Forward and backward pass, clipping and the optimiser's step, each operation as it comes."""

    model: nn.Module
    """The network as Fabric runs it."""
    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: Any
    """Fabric's wrapper."""
    fabric: Any
    clip: float
    """Largest gradient norm; 0: not clipped."""
    about: str = "eager"
    """How the steps ran, for the record."""

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Train on a batch; return its loss before the step. Nothing in it waits for the device."""
        loss = self.loss(self.model(images), labels)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        if self.clip:
            self.fabric.clip_gradients(self.model, self.optimizer, max_norm=self.clip, error_if_nonfinite=False)
        self.optimizer.step()
        return loss.detach()

    def close(self) -> None:
        """Do nothing; see ``GraphStep``."""


class GraphStep:
    """A step that is done ``WARM_STEPS`` times, then captured, and replayed from then on: the same bits as eagerly.

    What a step reads must lie where it lay when it was captured: the batch is copied to tensors that stay, rates are
    tensors on the device. So nothing may load a state into the network or the optimiser, move the network or switch
    its mode after the first step. Where the capture fails, or batches differ in shape, it goes on eagerly and
    ``about`` says why.
    """

    def __init__(self, step: EagerStep, rates: LearningRates, graphs: Graphs) -> None:
        """Take the step to capture, the rates that it reads, and how to capture."""
        self.step, self.rates = step, rates
        self.about = f"eager: fewer than {WARM_STEPS + 1} steps"
        self._graphs: Graphs | None = graphs
        self._done = 0
        self._batch: tuple[Tensor, Tensor] | None = None
        self._replay: Callable[[], object] | None = None
        self._loss: Tensor | None = None

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Train on a batch; return its loss, a tensor that no later step writes to."""
        if self._graphs is None:
            return self.step(images, labels)
        if self._done < WARM_STEPS:
            self._done += 1
            return self._graphs.aside(lambda: self.step(images, labels))
        if self._batch is None:
            self._batch = images.clone(memory_format=torch.preserve_format), labels.clone()
            self._capture(self._graphs, self._batch)
        elif (images.shape, labels.shape) != tuple(part.shape for part in self._batch):
            self._give_up("batches differ in shape")
        else:
            for held, new in zip(self._batch, (images, labels), strict=True):
                held.copy_(new)
        if self._replay is None:
            return self.step(images, labels)
        assert self._loss is not None
        self._replay()
        return self._loss.clone()

    def _capture(self, graphs: Graphs, batch: tuple[Tensor, Tensor]) -> None:
        self.step.optimizer.zero_grad(set_to_none=True)  # the gradients of a graph lie in its own memory
        self.rates.on_device()
        try:
            self._replay, self._loss = graphs.capture(lambda: self.step(*batch))
        except RuntimeError as error:
            self._give_up(f"the capture failed: {_first_cause(error)}")
        else:
            self.about = "captured"

    def _give_up(self, why: str) -> None:
        self.close()
        self.rates.on_host()
        self._graphs, self.about = None, f"eager: {why}"

    def close(self) -> None:
        """Give back the memory of the graph, which holds all maps of a step."""
        self.step.optimizer.zero_grad(set_to_none=True)
        self._replay = self._loss = self._batch = None


def _first_cause(error: BaseException) -> str:
    """Return the first line of the error that came first: a capture that was spoilt fails again where it ends."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    return str(error).strip().partition("\n")[0] or type(error).__name__


def training_step(step: EagerStep, rates: LearningRates, *, graph: bool, compiled: bool) -> EagerStep | GraphStep:
    """Return a step that is captured where that pays: for one process on a GPU, unless it is not wanted.

    ``torch.compile`` captures its own graphs; several processes speak to one another within a step.
    """
    fabric = step.fabric
    if fabric.device.type != "cuda":
        step.about = "eager: on a CPU"
    elif not graph:
        step.about = "eager: --no-graph"
    elif compiled:
        step.about = "eager: torch.compile makes its own graph"
    elif fabric.world_size > 1:
        step.about = f"eager: {fabric.world_size} processes"
    else:
        return GraphStep(step, rates, CudaGraphs(fabric.device))
    return step
