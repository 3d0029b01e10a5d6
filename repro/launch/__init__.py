"""Where runs run: processes of this machine, one group of processes (torchrun, srun), or a Ray cluster."""

from __future__ import annotations

from repro.launch.budget import Budget
from repro.launch.local import Local
from repro.launch.order import Ended, Launcher, Order, Watch

__all__ = ["Budget", "Ended", "Launcher", "Local", "Order", "Watch"]
