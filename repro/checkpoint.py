"""Checkpoints: written aside and renamed, checked by their sum, the last two kept, loaded without code."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

KEPT = 2


class CheckpointError(ValueError):
    """A checkpoint that cannot be written or does not belong to the run, in one sentence."""


def save(work: Path, state: Mapping[str, Any], step: int, key: str) -> Path:
    """Write the states of ``state`` after ``step`` finished steps.

    Raises:
        CheckpointError: the disk refuses; earlier checkpoints stay.
    """
    buffer = io.BytesIO()
    torch.save({"step": step, "key": key, **{name: part.state_dict() for name, part in state.items()}}, buffer)
    payload = buffer.getvalue()
    target = work / f"checkpoint-{step:08d}.pt"
    partial = target.with_suffix(f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(hashlib.sha256(payload).digest() + payload)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        msg = f"{target}: the checkpoint cannot be written ({error.strerror or error}); the one before it is kept"
        raise CheckpointError(msg) from error
    for old in _all(work)[:-KEPT]:
        old.unlink(missing_ok=True)
    return target


def resume(work: Path, state: Mapping[str, Any], key: str) -> int:
    """Load the newest sound checkpoint into ``state``; return its step, 0 where there is none.

    A damaged file is said on standard error and the one before it is taken.

    Raises:
        CheckpointError: a checkpoint belongs to another experiment.
    """
    for path in reversed(_all(work)):
        payload = _sound(path)
        if payload is None:
            continue
        loaded = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        if loaded["key"] != key:
            msg = f"{path}: belongs to run {loaded['key']}, not to {key}; move the folder away"
            raise CheckpointError(msg)
        for name, part in state.items():
            part.load_state_dict(loaded[name])
        return int(loaded["step"])
    return 0


def _all(work: Path) -> list[Path]:
    return sorted(work.glob("checkpoint-*.pt"))


def _sound(path: Path) -> bytes | None:
    data = path.read_bytes()
    if len(data) > 32 and hashlib.sha256(data[32:]).digest() == data[:32]:  # noqa: PLR2004 - a SHA-256 is 32 bytes
        return data[32:]
    import sys

    sys.stderr.write(f"{path}: damaged checkpoint, passed over; the one before it is taken\n")
    return None
