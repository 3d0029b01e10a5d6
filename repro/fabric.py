"""Lightning Fabric, opened for one training: device, precision and processes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import torch

from repro.machine import Machine, Precision, cpu_has_bf16
from repro.spec import SpecError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def open_fabric(place: Machine) -> Fabric:
    """Return a launched Fabric; under torchrun or srun it joins the group that they started.

    Raises:
        SpecError: a GPU was asked for and there is none.
    """
    if place.device == "cuda" and not torch.cuda.is_available():
        raise SpecError("--device cuda: torch sees no CUDA device here; use --device cpu or auto")
    accelerator = "cuda" if place.device != "cpu" and torch.cuda.is_available() else "cpu"
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("SLURM_NTASKS_PER_NODE", "1")))
    fabric = _fabric_class()(
        accelerator=accelerator,
        devices=max(1, local) if world > 1 else 1,
        num_nodes=max(1, world // max(1, local)),
        precision=precision(place, accelerator),
    )
    fabric.launch()
    return fabric


def precision(place: Machine, accelerator: str) -> Precision:
    """Return bf16 where the device computes in it, else float32; the user's choice before both."""
    if place.precision != "auto":
        return "bf16-mixed" if place.precision == "bf16" else "32-true"
    fast = torch.cuda.is_bf16_supported() if accelerator == "cuda" else cpu_has_bf16()
    return "bf16-mixed" if fast else "32-true"


def _fabric_class() -> type[Fabric]:
    """Import Fabric without what it only looks at.

    To learn torchmetrics' version it imports the whole of it, and with it torchvision and the
    compiler: ten seconds of a worker's life. Hidden for the moment of the import, it is skipped.
    """
    hidden = "torchmetrics" not in sys.modules
    if hidden:
        sys.modules["torchmetrics"] = None  # type: ignore[assignment]
    try:
        import lightning_fabric
    finally:
        if hidden:
            del sys.modules["torchmetrics"]
    found: type[Fabric] = lightning_fabric.Fabric
    return found
