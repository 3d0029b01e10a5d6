"""Lightning Fabric, opened for one training: device, precision and processes."""

from __future__ import annotations

import inspect
import logging
import os
import sys
import warnings
from typing import TYPE_CHECKING

import torch

from repro.config.errors import SpecError
from repro.config.machine import DEVICES, NO_CUDA, Machine, Precision, cpu_has_bf16, memory_share
from repro.models.numerics import full_float32
from repro.training import process_group

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import SLURMEnvironment
    from lightning_fabric.strategies import DDPStrategy


def open_fabric(place: Machine, *, narrow: bool = False) -> Fabric:
    """Return a launched Fabric; under torchrun or srun it joins the group that they started.

    Args:
        place: device, precision and threads as the user chose them.
        narrow: the network has few channels (``Architecture.narrow``); it counts where the precision is ``auto``.

    Raises:
        SpecError: a GPU was asked for and there is none, or bf16 on one that has none.
    """
    accelerator = device_of(place.device).type
    members = process_group.read()
    bound = accelerator == "cuda" and process_group.one_gpu_each() and torch.cuda.device_count() == 1
    if accelerator == "cuda" and members.local > torch.cuda.device_count() and not bound:
        raise SpecError(
            f"{members.local} processes were started here and torch sees {torch.cuda.device_count()} CUDA devices; "
            "start one process a device, or use --device cpu"
        )
    full_float32()
    make = _fabric_class()
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    # A remark on speed that DDP makes about channels-last gradients of 1 x 1 convolutions.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    fabric = make(
        accelerator=accelerator,
        strategy=_processes([torch.device("cuda", 0)] * members.local)
        if bound
        else _processes()
        if members.size > 1
        else "auto",
        devices=1 if bound else members.local,
        num_nodes=max(1, members.size // members.local),
        plugins=[_slurm(members)] if process_group.from_slurm() else None,
        precision=precision(place, accelerator, narrow=narrow),
    )
    fabric.launch()
    if accelerator == "cuda" and place.per_gpu > 1:
        share_memory(fabric.device, place.per_gpu)
    return fabric


def share_memory(device: torch.device, processes: int) -> None:
    """Keep this process's tensors to its share of a GPU's memory, so that it alone fails where it needs more.

    Raises:
        SpecError: so many processes leave no memory for tensors.
    """
    total = int(torch.cuda.get_device_properties(device).total_memory)
    share = memory_share(total, processes)
    if not share:
        raise SpecError(
            f"--jobs: {processes} processes on a GPU of {total / 1e9:.1f} GB leave no memory for their tensors; "
            "ask for fewer"
        )
    torch.cuda.set_per_process_memory_fraction(share / total, device)


def _processes(devices: list[torch.device] | None = None) -> DDPStrategy:
    """Return the strategy of several processes: every step has the same graph, gradients lie in the exchanged buckets.

    Buffers are not sent around before each step: the statistics of norms that train are those of the global batch in
    every process, and the others never change.

    Args:
        devices: that of each task of this node, where each sees one GPU, its own, under the name ``cuda:0``: Lightning
            takes one of the list by the task's number on the node.
    """
    from lightning_fabric.strategies import DDPStrategy
    from torch.nn.parallel import DistributedDataParallel

    known = inspect.signature(DistributedDataParallel).parameters
    buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # torch's older name
    return DDPStrategy(parallel_devices=devices, **{buffers: False}, static_graph=True, gradient_as_bucket_view=True)


def _slurm(members: process_group.Group) -> SLURMEnvironment:
    """Return srun's environment; Lightning's own search passes it over in an interactive allocation (``salloc``).

    It also refuses ``--ntasks`` without ``--ntasks-per-node``.

    Raises:
        SpecError: the tasks do not spread evenly over the nodes.
    """
    from lightning_fabric.plugins.environments import SLURMEnvironment

    nodes = int(os.environ.get("SLURM_STEP_NUM_NODES", "1"))
    if members.local * nodes != members.size:
        raise SpecError(
            f"srun: {members.size} tasks do not spread evenly over {nodes} nodes; give --nodes and --ntasks-per-node"
        )
    # Lightning insists on it, and an allocation's own may differ from that of a step in it.
    os.environ["SLURM_NTASKS_PER_NODE"] = str(members.local)
    return SLURMEnvironment(auto_requeue=False)


def device_of(word: str) -> torch.device:
    """Return the device that a user chose; ``auto`` is a GPU where torch sees one, else the CPU.

    Raises:
        SpecError: there is no such word, or no GPU where one was asked for.
    """
    if word not in DEVICES:
        raise SpecError(f"--device {word}: choose from {', '.join(DEVICES)}")
    seen = word != "cpu" and torch.cuda.is_available()
    if word == "cuda" and not seen:
        raise SpecError(NO_CUDA)
    return torch.device("cuda" if seen else "cpu")


def precision(place: Machine, accelerator: str, *, narrow: bool = False) -> Precision:
    """Return bf16 where it is faster, else float32; the user's choice before both.

    A GPU has it or not (older ones emulate it, slowly); a CPU must have it too, and a narrow network is no faster in
    it there.

    Raises:
        SpecError: bf16 was asked for and the GPU has none.
    """
    if place.precision == "32":
        return "32-true"
    if accelerator == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        if place.precision == "bf16" and not fast:
            raise SpecError(
                f"--precision bf16: {torch.cuda.get_device_name()} has no bfloat16; use --precision 32 or auto"
            )
    else:
        fast = place.precision == "bf16" or (cpu_has_bf16() and not narrow)
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
