"""The GPUs of this machine, found without importing torch."""

from __future__ import annotations

import os
from pathlib import Path

NVIDIA = Path("/proc/driver/nvidia/gpus")


def gpus() -> tuple[str, ...]:
    """Return the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; none where none is known."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        words = [word.strip() for word in os.environ["CUDA_VISIBLE_DEVICES"].split(",")]
        return tuple(word for word in words if word and word != "-1")
    return tuple(str(i) for i in range(len(list(NVIDIA.iterdir())))) if NVIDIA.is_dir() else ()
