"""Settings of torch that decide which bits come out."""

from __future__ import annotations

import os

import torch


def full_float32() -> None:
    """Let float32 mean float32 on a GPU too: torch's default lets cuDNN's convolutions round to TF32 (10 bits)."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def repeatable() -> None:
    """Ask torch for algorithms that give the same bits again; a warning names an operation that has none.

    To be called before the first operation on a GPU: cuBLAS reads its variable then.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    # Filling fresh memory is for finding code that reads it unset; it costs a pass over every tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
