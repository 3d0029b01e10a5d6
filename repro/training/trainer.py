"""Train one run: one loop on Lightning Fabric, the same bits for the same seed, resumable at a step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from repro.config.errors import CheckpointError
from repro.config.experiment import Run
from repro.models.norm import synchronise
from repro.training import checkpoint
from repro.training.checkpoint import RandomStates, Spent
from repro.training.loss import loss_function
from repro.training.loss_log import Curve
from repro.training.optimizer import LearningRates, OptimizerState, build_optimizer
from repro.training.signals import Interrupted, StopFlag
from repro.training.step import EagerStep, GraphStep, training_step

LOG_EVERY = 10
Progress = Callable[[dict[str, Any]], None]
BatchSource = Callable[[int], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Outcome:
    """How a training ended."""

    status: str
    steps: int
    seconds: float
    images_per_second: float
    final_loss: float | None
    diverged_at: int | None = None
    last_finite_loss: float | None = None
    graph: str = "eager"
    """Whether the steps were captured as a CUDA graph ("captured"), or "eager" with the reason."""


def train(
    run: Run,
    net: nn.Module,
    batch: BatchSource,
    fabric: Any,  # noqa: ANN401 - lightning_fabric.Fabric, imported by the caller alone
    work: Path,
    *,
    progress: Progress = lambda _: None,
    checkpoint_seconds: float = 30.0,
    compile_net: bool = False,
    graph: bool = True,
    spent: Spent | None = None,
    identity: Mapping[str, Any] | None = None,
) -> Outcome:
    """Train ``net`` in place from its last checkpoint in ``work``, or from the start.

    Args:
        run: the experiment.
        net: the network, initialised; moved to the device by Fabric.
        batch: step -> (normalised images (n, 3, h, w), labels (n, h, w)), on the device; a pure
            function, so that a resumed run sees the same batches.
        fabric: device, precision and processes.
        work: folder for checkpoints and ``log.jsonl``.
        progress: called at most twice a second with step, steps and loss.
        checkpoint_seconds: least time between two checkpoints. One at the end follows the same rule: where the last
            is more recent, as much is lost if what follows is killed as in the middle of the training.
        compile_net: train through ``torch.compile``; checkpoints and ``net`` itself stay as they are.
        graph: on a GPU, alone and not compiled, capture the step as a CUDA graph (see ``repro.training.step``).
        spent: the job's clock; a resumed training sets it to what was spent before.
        identity: seed, data, start weights and arithmetic as plain values, kept in each checkpoint; a checkpoint of
            another identity is refused.

    Raises:
        Interrupted: a stop signal came; every finished step is in the checkpoint.
        CheckpointError: the disk refuses, and what was written before stays; or a checkpoint is another run's.
    """
    if fabric.world_size > 1:
        synchronise(net, fabric.device.type)
    optimizer = build_optimizer(net, run.recipe)
    model, optimizer = fabric.setup(_compiled(net, fabric) if compile_net else net, optimizer)
    loop = _Loop(
        run, net, model, optimizer, batch, fabric, work, progress, checkpoint_seconds, spent or Spent(), identity
    )
    first = loop.resume()
    step = loop.step(graph=graph, compiled=compile_net)
    try:
        with StopFlag() as stop, loop.writer:
            return loop.run_from(first, step, stop)
    finally:
        step.close()


def _compiled(net: nn.Module, fabric: Any) -> Any:  # noqa: ANN401 - torch's own kind; see train
    """Return the network through ``torch.compile``; alone on a GPU also captured as a graph, which spares launches."""
    captured = fabric.device.type == "cuda" and fabric.world_size == 1
    return torch.compile(net, mode="reduce-overhead" if captured else "default")


def _agreed(step: int, fabric: Any, work: Path) -> int:  # noqa: ANN401 - see train
    """Return the step that all processes go on from; raise ``CheckpointError`` where they found different ones."""
    if fabric.world_size > 1:
        found = [0] * fabric.world_size
        torch.distributed.all_gather_object(found, step)
        if len(set(found)) > 1:
            msg = (
                f"{work}: processes see checkpoints of steps {sorted(set(found))}; all machines must share this folder"
            )
            raise CheckpointError(msg)
    return step


@dataclass(eq=False)
class _Loop:
    """The loop's parts in one place; one instance lives for one training."""

    run: Run
    net: nn.Module
    model: nn.Module
    """The network as Fabric runs it."""
    optimizer: Any
    """Fabric's wrapper."""
    batch: BatchSource
    fabric: Any
    work: Path
    progress: Progress
    checkpoint_seconds: float
    spent: Spent
    identity: Mapping[str, Any] | None

    def __post_init__(self) -> None:
        self.loss = loss_function(self.run, self.fabric.world_size)
        self.curve = Curve(self.work / "log.jsonl", self.fabric)
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
        self.rates = LearningRates(optimizer, self.run.recipe, self.run.steps, self.fabric.device)
        self.writer = checkpoint.Writer()
        parts = {"random": RandomStates(), "losses": self.curve, "spent": self.spent}
        self.state = {"model": self.net, "optimizer": OptimizerState(optimizer), **parts}
        self.began = self.saved = self.shown = time.perf_counter()
        self.rate = 0.0
        """Learning rate of the first group at the last step."""

    def step(self, *, graph: bool, compiled: bool) -> EagerStep | GraphStep:
        """Return the step that this training repeats, to be asked for after ``resume``."""
        step = EagerStep(self.model, self.loss, self.optimizer, self.fabric, self.run.recipe.clip)
        return training_step(step, self.rates, graph=graph, compiled=compiled)

    def resume(self) -> int:
        """Take up the last checkpoint where there is one; return the step to go on from."""
        found = checkpoint.resume(self.work, self.state, self.run.key, self.identity, self.run.steps)
        step = _agreed(found, self.fabric, self.work)
        before = self.curve.cut(step) if self.fabric.is_global_zero else 0.0
        self.saved = self.shown = time.perf_counter()
        self.began = self.saved - before
        return step

    def run_from(self, first: int, step: EagerStep | GraphStep, stop: StopFlag) -> Outcome:
        self.model.train()
        for number in range(first, self.run.steps):
            self.rate = self.rates.set(number)
            self.curve.add(step(*self.batch(number)))
            done = number + 1
            last = done == self.run.steps
            logs = last or done % LOG_EVERY == 0
            if logs:
                if (bad := self.curve.settle(done, self._log)) is not None:
                    return self._outcome("diverged", bad, step.about)
                if time.perf_counter() - self.saved > self.checkpoint_seconds:
                    self._save(done)
            if not last and self._stops(stop, logs=logs):
                self._save(done)
                self.writer.wait()
                raise Interrupted(stop.number)
        return self._outcome("ok", self.run.steps, step.about)

    def _stops(self, stop: StopFlag, *, logs: bool) -> bool:
        """Say whether to stop now: one process at once, several when all of them have heard that one was asked."""
        if self.fabric.world_size == 1:
            return stop.raised
        if not logs:  # asking at every step would have a GPU wait at every step
            return False
        asked = torch.tensor(float(stop.raised), device=self.fabric.device)
        return bool(self.fabric.all_reduce(asked, reduce_op="sum") > 0)

    def _log(self, step: int, loss: float) -> None:
        seconds = time.perf_counter() - self.began
        if not self.fabric.is_global_zero:
            return
        line = {"step": step, "loss": loss, "lr": self.rate, "seconds": round(seconds, 2)}
        self.curve.write(line)
        if time.perf_counter() - self.shown > 0.5 or step == self.run.steps:  # noqa: PLR2004 - twice a second is enough for an eye
            self.shown = time.perf_counter()
            self.progress({"step": step, "steps": self.run.steps, "loss": loss})

    def _save(self, step: int) -> None:
        if self.fabric.is_global_zero:
            self.writer.save(self.work, self.state, step, self.run.key, self.identity)
        self.saved = time.perf_counter()

    def _outcome(self, status: str, step: int, graph: str) -> Outcome:
        seconds = time.perf_counter() - self.began
        images = step * self.run.recipe.batch_size
        diverged = status == "diverged"
        return Outcome(
            status=status,
            steps=step,
            seconds=seconds,
            images_per_second=images / max(seconds, 1e-9),
            final_loss=None if diverged else self.curve.last_finite,
            diverged_at=step if diverged else None,
            last_finite_loss=self.curve.last_finite if diverged else None,
            graph=graph,
        )
