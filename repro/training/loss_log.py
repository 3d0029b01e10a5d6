"""The losses of a training: ``log.jsonl``, the steps since its last line, the last finite one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from repro.training import checkpoint


class Curve:
    """A training's log; what it holds beside the file is kept by checkpoints, as a module's ``state_dict`` is."""

    def __init__(self, path: Path, fabric: Any) -> None:  # noqa: ANN401 - lightning_fabric.Fabric, see train
        """Take the file, which may hold the lines of an earlier process."""
        self.path, self.fabric = path, fabric
        self.last_finite: float | None = None
        self._pending: list[Tensor] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the losses since the last line, and the last finite one."""
        return {"pending": [loss.cpu() for loss in self._pending], "last_finite": self.last_finite}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._pending = [loss.to(self.fabric.device) for loss in state["pending"]]
        self.last_finite = state["last_finite"]

    def add(self, loss: Tensor) -> None:
        """Keep a step's loss for the next line."""
        self._pending.append(loss.detach())

    def settle(self, step: int, log: Callable[[int, float], None]) -> int | None:
        """Log the mean of the losses since the last line, over all processes, after so many steps.

        Returns:
            The first step (from 1) whose loss is not finite, None where all are.
        """
        losses = self.fabric.all_reduce(torch.stack(self._pending), reduce_op="mean").tolist()
        self._pending.clear()
        first = step - len(losses)
        for offset, value in enumerate(losses):
            if not math.isfinite(value):
                if offset:  # the curve up to the end is part of the result
                    log(first + offset, sum(losses[:offset]) / offset)
                return first + offset + 1
            self.last_finite = value
        log(step, sum(losses) / len(losses))
        return None

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line to the file; raise ``CheckpointError`` where the disk refuses."""
        checkpoint.append_line(self.path, json.dumps(line))

    def cut(self, step: int) -> float:
        """Drop lines after the step that a resumed run starts at; return the seconds spent up to it."""
        if not self.path.exists():
            return 0.0
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        kept = [line for line in lines if 0 < _step_of(line) <= step]
        if len(kept) < len(lines) or not self.path.read_bytes().endswith(b"\n"):
            checkpoint.write(self.path, "".join(line + "\n" for line in kept).encode())
        return float(json.loads(kept[-1])["seconds"]) if kept else 0.0


def _step_of(line: str) -> int:
    """Return the step of a line of the log; 0 for one that was cut short or damaged."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return 0
