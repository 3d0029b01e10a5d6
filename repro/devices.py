"""The GPUs of this machine, found without importing torch into this process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

CUDA_CONTEXT = 2**30
"""Bytes of GPU memory that a process takes beside its tensors: its CUDA context, libraries and kernels. Assumed, not
measured; about 0.5 GB are usual."""
NVIDIA = Path("/proc/driver/nvidia/gpus")


def gpus() -> tuple[str, ...]:
    """Return the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; none where none is known."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        words = [word.strip() for word in os.environ["CUDA_VISIBLE_DEVICES"].split(",")]
        return tuple(word for word in words if word and word != "-1")
    return tuple(str(i) for i in range(len(list(NVIDIA.iterdir())))) if NVIDIA.is_dir() else ()


def torch_sees_cuda() -> bool:
    """Ask torch, in a process of its own: it takes seconds, so only where ``gpus`` knows of none (ROCm, WSL)."""
    import subprocess

    asked = [sys.executable, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0  # noqa: S603 - fixed words


def gpu_memory() -> int:
    """Return the bytes of the smallest GPU that torch sees, asked in a process of its own; 0 where it sees none."""
    import subprocess

    code = (
        "import torch; count = torch.cuda.device_count(); "
        "print(min((torch.cuda.get_device_properties(i).total_memory for i in range(count)), default=0))"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    words = asked.stdout.split()
    return int(words[-1]) if asked.returncode == 0 and words and words[-1].isdecimal() else 0


def memory_share(total: int, processes: int) -> int:
    """Return the bytes for the tensors of one of several processes on a GPU of ``total`` bytes; 0 for no room."""
    return max(0, total // processes - (CUDA_CONTEXT if processes > 1 else 0))
