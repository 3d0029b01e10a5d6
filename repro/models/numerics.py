"""Settings of torch that determine the bits of a result."""

from __future__ import annotations

import os

import torch


def full_float32() -> None:
    """Disable TF32 on a GPU: by default cuDNN's convolutions round float32 to a 10-bit mantissa."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def repeatable() -> None:
    """Select deterministic algorithms; torch warns of an operation that has none.

    Call it before the first operation on a GPU, when cuBLAS reads its environment variable.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    # Filling uninitialised memory finds reads of unset values; it costs a pass over every tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
