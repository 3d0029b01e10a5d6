"""What a run was and what it ran on, for its record: machine, versions, precision, data, weights."""

from __future__ import annotations

import hashlib
import platform
import re
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import torch

from repro import machine
from repro.keys import canonical
from repro.published import partial
from repro.session import Session


def facts(session: Session) -> dict[str, Any]:
    """Describe a session's run and what it ran on, as the record holds it."""
    run = session.run
    return {
        "key": run.key,
        "seed": session.seed,
        "profile": run.profile,
        "recipe": run.recipe.name,
        "slug": run.slug,
        "spec": canonical(run),
        "classes": list(session.test_set.classes),
        "test_images": len(session.test),
        "steps": run.steps,
        "device": _device(session),
        "device_type": session.fabric.device.type,
        "gpu": gpu(session.fabric.device, session.place.per_gpu),
        "threads": torch.get_num_threads(),
        "world_size": session.fabric.world_size,
        "precision": session.precision,
        "layout": str(session.layout).removeprefix("torch."),
        "compile": session.place.compile,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "software": software(),
        "platform": platform.system(),
        "git_commit": machine.git_commit(),
        "data": _checked(session),
        "partial": {name: list(pair) for name, pair in partial(_images(session)).items()},
        "identity": session.identity.as_tree(),
        "weights_file": _weights_file(session),
        "weights_stride_in": str(session.weights_stride) if session.weights_stride else None,
        "weights_from": None if session.parent is None else session.parent.name,
    }


def _checked(session: Session) -> dict[str, str]:
    """Return the fingerprints of the data once every image has been compared with its checksum.

    What a damaged store gave before was compared as well, and decoded again where it differed.
    """
    if session.leads:  # of several processes each has compared what it read itself
        for store in session.stores.values():
            store.check()
    return session.data


def _images(session: Session) -> dict[str, int]:
    return {name: len(store) for name, store in session.stores.items()}


def software() -> dict[str, str | None]:
    """Return the versions of the libraries that make pixels and compute with them; None for one that is not there."""
    cudnn = torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None  # type: ignore[no-untyped-call]
    return {
        "numpy": _version("numpy"),
        "opencv": _version("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless"),
        "pillow": _version("pillow"),
        "cuda": torch.version.cuda,
        "cudnn": None if cudnn is None else str(cudnn),
    }


def _version(*names: str) -> str | None:
    """Return the version of the first of several distributions that is installed."""
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def gpu(device: torch.device, processes: int) -> dict[str, Any] | None:
    """Return total memory in bytes, driver and the number of processes that shared a GPU; None for a CPU."""
    if device.type != "cuda":
        return None
    total = int(torch.cuda.get_device_properties(device).total_memory)
    return {"memory_bytes": total, "driver": driver(), "processes": processes}


def driver(
    module: Path = Path("/sys/module/nvidia/version"), proc: Path = Path("/proc/driver/nvidia/version")
) -> str | None:
    """Return the version of the NVIDIA driver as the kernel says it, else as NVML does; None where neither does."""
    for path in (module, proc):
        try:
            found = re.search(r"\d+\.\d+(\.\d+)?", path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        if found:
            return found[0]
    try:
        pynvml = import_module("pynvml")
        pynvml.nvmlInit()
        said = pynvml.nvmlSystemGetDriverVersion()
    except Exception:  # noqa: BLE001 - a library that may be missing, or fail in its own ways; the version is null then
        return None
    return said.decode() if isinstance(said, bytes) else str(said)


def _weights_file(session: Session) -> str | None:
    """Return name and checksum of the file that the training started from; None where it read none."""
    path = session.place.weights
    if path is None or not session.run.from_file:
        return None
    with path.open("rb") as file:
        return f"{path.name} sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _device(session: Session) -> str:
    if session.fabric.device.type == "cuda":
        return str(torch.cuda.get_device_name(session.fabric.device))
    return machine.cpu_name()
