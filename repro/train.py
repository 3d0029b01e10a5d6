"""Train one run: one loop on Lightning Fabric, the same bits for the same seed, resumable at a step."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from repro import checkpoint
from repro.experiment import Recipe, Run
from repro.models.synchronise import synchronise
from repro.randomness import RandomStates
from repro.spec import Classifier
from repro.stop import Interrupted, StopFlag

LOG_EVERY = 10
POLY_POWER = 0.9
IGNORE_INDEX, NO_VOID = 255, -100
ROWS_FROM = 16
"""Classes from which the softmax of channels-last maps is faster as rows of classes; a row fills a vector register."""
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


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the factor on the learning rate at a step, a pure function (a resume needs no state).

    ``poly`` falls as (1 - t)^0.9, ``onecycle`` as a cosine; both rise over the warm-up.
    """
    if recipe.schedule == "fixed":
        return 1.0
    warm = int(recipe.warmup * steps)
    if step < warm:
        share = (step + 1) / (warm + 1)
        return share if recipe.schedule == "poly" else 0.04 + 0.96 * (1 - math.cos(math.pi * share)) / 2
    t = (step - warm) / max(1, steps - warm)
    return float((1 - t) ** POLY_POWER) if recipe.schedule == "poly" else (1 + math.cos(math.pi * t)) / 2


def parameter_groups(net: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Group parameters by their rate (backbone or not, bias or weight) and their decay (vectors or not)."""
    backbone = {id(p) for p in getattr(net, "backbone", nn.Module()).parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            scale = recipe.backbone_lr if id(parameter) in backbone else 1.0
            scale *= recipe.bias_lr if name.endswith("bias") else 1.0
            decays = parameter.ndim > 1 or recipe.bias_decay
            groups.setdefault((scale, recipe.weight_decay if decays else 0.0), []).append(parameter)
    return [
        {"params": parameters, "scale": scale, "weight_decay": decay}
        for (scale, decay), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def build_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over the parameters that train; ``fused``: one pass over them, not one a term."""
    groups = parameter_groups(net, recipe)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, betas=(recipe.momentum, 0.999), fused=True)
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=True)


def loss_function(run: Run, world: int = 1) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return the softmax loss over all pixels that are not void (255), summed or averaged.

    Over ``world`` processes the mean is that of the global batch; a process's value is its share of it times
    ``world``, because gradients (and the logged losses) are averaged over processes.
    """
    reduction = run.recipe.loss
    void = NO_VOID if is_classifier(run) else IGNORE_INDEX

    def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        target = labels.long()
        exact = logits if logits.dtype == torch.float64 else logits.float()
        if exact.ndim > 2 and exact.stride(1) == 1 and exact.shape[1] >= ROWS_FROM:  # noqa: PLR2004 - maps
            exact, target = exact.movedim(1, -1).reshape(-1, exact.shape[1]), target.flatten()
        total = nn.functional.cross_entropy(exact, target, ignore_index=void, reduction="sum")
        total = total * world if world > 1 else total
        if reduction == "sum":
            return total
        seen = (target != void).sum()
        if world > 1:
            torch.distributed.all_reduce(seen)
        # A batch of nothing but void must give 0, not 0 / 0.
        return total / seen.clamp(min=1)

    return loss


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
) -> Outcome:
    """Train ``net`` in place from its last checkpoint in ``work``, or from the start.

    Args:
        run: the experiment.
        net: the network, initialised; moved to the device by Fabric.
        batch: step -> (normalised images (n, 3, h, w), labels (n, h, w)), on the device; a pure
            function, so that a resumed run sees the same batches.
        fabric: device, precision and processes.
        work: folder for checkpoints and ``log.jsonl``.
        progress: called about twice a second with step, loss and rate.
        checkpoint_seconds: time between two checkpoints.
        compile_net: train through ``torch.compile``; checkpoints and ``net`` itself stay as they are.

    Raises:
        Interrupted: a stop signal came; every finished step is in the checkpoint.
        CheckpointError: the disk refuses; what was written before stays.
    """
    if fabric.world_size > 1:
        synchronise(net)
    optimizer = build_optimizer(net, run.recipe)
    model, optimizer = fabric.setup(_compiled(net, fabric) if compile_net else net, optimizer)
    state = {
        "model": net,
        "optimizer": optimizer.optimizer if hasattr(optimizer, "optimizer") else optimizer,
        "random": RandomStates(),
    }
    step = _agreed(checkpoint.resume(work, state, run.key), fabric, work)
    before = _trim_log(work / "log.jsonl", step) if fabric.is_global_zero else 0.0
    loop = _Loop(run, model, optimizer, batch, fabric, work, progress, checkpoint_seconds, state)
    loop.began -= before
    with StopFlag() as stop:
        return loop.run_from(step, stop)


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
            raise checkpoint.CheckpointError(msg)
    return step


def _trim_log(path: Path, step: int) -> float:
    """Drop lines after the step that a resumed run starts at; return the seconds spent up to it."""
    if not path.exists():
        return 0.0
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    kept = [line for line in lines if json.loads(line)["step"] <= step]
    if len(kept) < len(lines) or not path.read_bytes().endswith(b"\n"):
        checkpoint.write(path, "".join(line + "\n" for line in kept).encode())
    return float(json.loads(kept[-1])["seconds"]) if kept else 0.0


class _Loop:
    """The loop's parts in one place; one instance lives for one training."""

    def __init__(
        self,
        run: Run,
        model: nn.Module,
        optimizer: Any,  # noqa: ANN401 - Fabric's wrapper
        batch: BatchSource,
        fabric: Any,  # noqa: ANN401 - see train
        work: Path,
        progress: Progress,
        checkpoint_seconds: float,
        state: dict[str, Any],
    ) -> None:
        self.run, self.model, self.optimizer, self.batch, self.fabric = run, model, optimizer, batch, fabric
        self.work, self.progress, self.every, self.state = work, progress, checkpoint_seconds, state
        self.loss = loss_function(run, fabric.world_size)
        self.pending: list[torch.Tensor] = []
        self.last_finite: float | None = None
        self.began = self.saved = self.shown = time.perf_counter()

    def run_from(self, first: int, stop: StopFlag) -> Outcome:
        self.model.train()
        for step in range(first, self.run.steps):
            self.pending.append(self._step(step).detach())
            last = step + 1 == self.run.steps
            logs = last or (step + 1) % LOG_EVERY == 0
            if logs:
                if (bad := self._flush(step)) is not None:
                    return self._outcome("diverged", bad)
                self._maybe_save(step + 1)
            if not last and self._stops(stop, logs=logs):
                self._save(step + 1)
                raise Interrupted
        if self.every < float("inf"):
            self._save(self.run.steps)
        return self._outcome("ok", self.run.steps)

    def _stops(self, stop: StopFlag, *, logs: bool) -> bool:
        """Say whether to stop now: one process at once, several when all of them have heard that one was asked."""
        if self.fabric.world_size == 1:
            return stop.raised
        if not logs:  # asking at every step would have a GPU wait at every step
            return False
        asked = torch.tensor(float(stop.raised), device=self.fabric.device)
        return bool(self.fabric.all_reduce(asked, reduce_op="sum") > 0)

    def _step(self, step: int) -> torch.Tensor:
        recipe = self.run.recipe
        factor = rate(recipe, step, self.run.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.lr * group["scale"] * factor
        images, labels = self.batch(step)
        loss = self.loss(self.model(images), labels)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        if recipe.clip:
            self.fabric.clip_gradients(self.model, self.optimizer, max_norm=recipe.clip, error_if_nonfinite=False)
        self.optimizer.step()
        return loss

    def _flush(self, step: int) -> int | None:
        """Log the losses since the last call; return the first step (from 1) whose loss is not finite."""
        losses = self.fabric.all_reduce(torch.stack(self.pending), reduce_op="mean").tolist()
        self.pending.clear()
        first = step + 1 - len(losses)
        for offset, value in enumerate(losses):
            if not math.isfinite(value):
                if offset:  # the curve up to the end is part of the result
                    self._log(first + offset, sum(losses[:offset]) / offset)
                return first + offset + 1
            self.last_finite = value
        self._log(step + 1, sum(losses) / len(losses))
        return None

    def _log(self, step: int, loss: float) -> None:
        seconds = time.perf_counter() - self.began
        if not self.fabric.is_global_zero:
            return
        line = {"step": step, "loss": loss, "lr": self.optimizer.param_groups[0]["lr"], "seconds": round(seconds, 2)}
        checkpoint.append_line(self.work / "log.jsonl", json.dumps(line))
        if time.perf_counter() - self.shown > 0.5 or step == self.run.steps:  # noqa: PLR2004 - twice a second is enough for an eye
            self.shown = time.perf_counter()
            self.progress({"step": step, "steps": self.run.steps, "loss": loss})

    def _maybe_save(self, step: int) -> None:
        if time.perf_counter() - self.saved > self.every and step < self.run.steps:
            self._save(step)

    def _save(self, step: int) -> None:
        if self.fabric.is_global_zero:
            checkpoint.save(self.work, self.state, step, self.run.key)
        self.saved = time.perf_counter()

    def _outcome(self, status: str, step: int) -> Outcome:
        seconds = time.perf_counter() - self.began
        images = step * self.run.recipe.batch_size
        diverged = status == "diverged"
        return Outcome(
            status=status,
            steps=step,
            seconds=seconds,
            images_per_second=images / max(seconds, 1e-9),
            final_loss=None if diverged else self.last_finite,
            diverged_at=step if diverged else None,
            last_finite_loss=self.last_finite if diverged else None,
        )


def is_classifier(run: Run) -> bool:
    """Say whether a run trains a classifier (Table 6) and not a segmentation network."""
    return isinstance(run.model, Classifier)
