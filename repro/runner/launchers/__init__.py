"""Where runs run: processes of this machine, one group of processes (torchrun, srun), or a Ray cluster."""

from __future__ import annotations

from repro.runner.launchers.budget import Budget
from repro.runner.launchers.local import Local
from repro.runner.launchers.queue import Ended, Launcher, Order, Watch

__all__ = ["Budget", "Ended", "Launcher", "Local", "Order", "Watch"]
