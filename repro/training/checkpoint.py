"""Checkpoints: weights, random states, what was spent; written aside and renamed, the last two kept, no code loaded."""

from __future__ import annotations

import hashlib
import io
import pickle
import random
import sys
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

from repro.config import identity
from repro.config.console import clean
from repro.config.errors import CheckpointError
from repro.config.io import atomic_write
from repro.config.machine import peak_memory

KEPT = 2
ADDED = {"random", "losses", "spent"}
"""Parts that checkpoints of earlier versions lack."""


def save(work: Path, state: Mapping[str, Any], step: int, key: str, identity: Mapping[str, Any] | None = None) -> Path:
    """Write the states of ``state`` after ``step`` finished steps; of the sound ones before, the last stays.

    ``identity`` holds seed, data, start weights and arithmetic as plain values, which ``resume`` compares.

    Those of later steps go: ``resume`` takes the newest sound one, so they were passed over.

    Raises:
        CheckpointError: the disk refuses; earlier checkpoints stay.
    """
    return _store(work, step, _packed(state, step, key, identity))


class Writer:
    """Writes checkpoints in a thread, one at a time, while the training goes on.

    The states are copied when ``save`` is called; a later step changes nothing of what is written. Left as a context
    it waits for the last one.
    """

    def __init__(self) -> None:
        """Start no thread before it is needed."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._written: Future[Path] | None = None

    def save(
        self, work: Path, state: Mapping[str, Any], step: int, key: str, identity: Mapping[str, Any] | None = None
    ) -> None:
        """Copy the states and begin to write them, after the checkpoint before is written; see the function ``save``.

        Raises:
            CheckpointError: the disk refused the checkpoint before.
        """
        self.wait()
        self._written = self._pool.submit(_store, work, step, _packed(state, step, key, identity))

    def wait(self) -> None:
        """Return when everything is on the disk; raise ``CheckpointError`` where it refused."""
        written, self._written = self._written, None
        if written is not None:
            written.result()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait; what ended the training is said before what the disk refused."""
        try:
            with suppress(*(() if error is None else (CheckpointError,))):
                self.wait()
        finally:
            self._pool.shutdown()


def _packed(state: Mapping[str, Any], step: int, key: str, identity: Mapping[str, Any] | None) -> bytes:
    """Return a checkpoint's content."""
    buffer = io.BytesIO()
    belongs = {"step": step, "key": key, "identity": None if identity is None else dict(identity)}
    torch.save({**belongs, **{name: part.state_dict() for name, part in state.items()}}, buffer)
    # Not ``getbuffer``: CPython 3.12.1 crashes where such a view is collected in a cycle, as of an exception.
    return buffer.getvalue()


def _store(work: Path, step: int, payload: bytes) -> Path:
    """Write a checkpoint with its checksum before it, then remove the ones that are not kept."""
    target = work / f"checkpoint-{step:08d}.pt"
    write(target, hashlib.sha256(payload).digest(), payload)
    found = _all(work)
    at = found.index(target) + 1
    for old in found[: max(0, at - KEPT)] + found[at:]:
        old.unlink(missing_ok=True)
    return target


def write(target: Path, *parts: bytes) -> None:
    """Write a file of these parts aside, through to the disk, and rename it.

    Raises:
        CheckpointError: the disk refuses; a file that was there before stays.
    """
    try:
        atomic_write(target, *parts)
    except OSError as error:
        raise _refused(target, error) from error


def append_line(path: Path, line: str) -> None:
    """Add a line to a file; raise ``CheckpointError`` where the disk refuses."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: OSError) -> CheckpointError:
    why = error.strerror or error
    return CheckpointError(f"{path}: cannot be written ({why}); what was written before is kept: make room, run again")


def resume(
    work: Path, state: Mapping[str, Any], key: str, identity: Mapping[str, Any] | None = None, steps: int | None = None
) -> int:
    """Load the newest sound checkpoint into ``state``; return its step, 0 where there is none.

    A damaged file is said on standard error and the one before it is taken. ``steps`` is the length of the run.

    Raises:
        CheckpointError: a checkpoint belongs to another experiment, seed, data, start weights or arithmetic, or names a
            step that the run does not have.
    """
    found = _all(work)
    for path in reversed(found):
        try:
            loaded = _read(_sound(path))
        except _UnsoundError as error:
            then = "there is none before it, the training begins anew"
            then = then if path == found[0] else "the one before it is taken"
            sys.stderr.write(f"{clean(str(path))}: {error}, passed over; {then}\n")
            continue
        if loaded["key"] != key:
            msg = f"{path}: belongs to run {loaded['key']}, not to {key}; move the folder away"
            raise CheckpointError(msg)
        if identity is not None:
            _refuse_other(path, loaded.get("identity"), identity)
        step = loaded["step"]
        if not isinstance(step, int) or step < 0 or (steps is not None and step > steps):
            raise CheckpointError(
                f"{path}: names step {step} of a training of {steps}, which no training wrote; "
                f"remove the folder {path.parent} to begin anew"
            )
        for name, part in state.items():
            if name in loaded or name not in ADDED:
                part.load_state_dict(loaded[name])
        return step
    return 0


def _refuse_other(path: Path, theirs: object, ours: Mapping[str, Any]) -> None:
    """Raise ``CheckpointError`` where a checkpoint was begun under another identity, or does not say which."""
    if not isinstance(theirs, Mapping):
        raise CheckpointError(
            f"{path}: an earlier version wrote it and did not note data, weights and precision; remove the folder "
            f"{path.parent} to begin anew"
        )
    found = identity.changes(identity.from_tree(theirs), identity.from_tree(ours))
    if theirs.get("seed") != ours.get("seed"):
        found.insert(0, f"seed {theirs.get('seed')} there, {ours.get('seed')} here")
    if found:
        raise CheckpointError(
            f"{path}: was begun under other conditions ({'; '.join(found)}); give the first ones again to go on, "
            f"or remove the folder {path.parent} to begin anew"
        )


def _all(work: Path) -> list[Path]:
    return sorted(work.glob("checkpoint-*.pt"))


class _UnsoundError(Exception):
    """Why a file cannot be resumed from."""


def _sound(path: Path) -> bytes:
    """Return what was written; raise ``_UnsoundError`` where the disk gives something else."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _UnsoundError(f"the checkpoint cannot be read ({error.strerror or error})") from error
    if len(data) > 32 and hashlib.sha256(data[32:]).digest() == data[:32]:  # noqa: PLR2004 - a SHA-256 is 32 bytes
        return data[32:]
    raise _UnsoundError("damaged checkpoint")


def _read(payload: bytes) -> dict[str, Any]:
    """Return the content; refuse anything but tensors and plain values (nothing in it is executed)."""
    try:
        loaded = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        loaded = None
    if isinstance(loaded, dict) and {"step", "key"} <= set(loaded):
        return loaded
    raise _UnsoundError("not a checkpoint of this version")


class RandomStates:
    """The states of torch (CPU and GPUs), numpy and Python, under the protocol of a module's ``state_dict``.

    Batches are a pure function of seed and step and no layer draws, so a training reads none of them today; a layer
    that does draw goes on after a resume as if nothing had happened.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return the states as tensors and plain values, which load without executing anything."""
        name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - the global state is what is kept
        return {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
            "numpy": [name, torch.from_numpy(np.asarray(keys, np.int64)), *rest],
            "python": random.getstate(),
        }

    def load_state_dict(self, states: dict[str, Any]) -> None:
        """Take the states over; those of GPUs that are not here are left out."""
        torch.set_rng_state(states["torch"])
        for device, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, device)
        name, keys, *rest = states["numpy"]
        np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002 - as above
        random.setstate(states["python"])


class Spent:
    """A clock that goes on where the last checkpoint stopped it, under the protocol of a module's ``state_dict``.

    What a killed process did after its last checkpoint is done again, so it is not counted: the sum is about what the
    job costs undisturbed.
    """

    def __init__(self) -> None:
        """Start now."""
        self._began = _now()
        self._before: dict[str, float] = {}

    def state_dict(self) -> dict[str, float]:
        """Return ``seconds_total``, ``cpu_seconds`` (this process's own) and ``peak_memory_bytes`` up to now.

        Where a GPU was used also ``peak_gpu_memory_bytes``, the most that its tensors took (allocated, not reserved).
        """
        wall, cpu = (now - began for now, began in zip(_now(), self._began, strict=True))
        before = self._before.get
        gpu = max(int(before("peak_gpu_memory_bytes", 0)), _peak_gpu_memory())
        return {
            "seconds_total": round(before("seconds_total", 0.0) + wall, 2),
            "cpu_seconds": round(before("cpu_seconds", 0.0) + cpu, 2),
            "peak_memory_bytes": max(int(before("peak_memory_bytes", 0)), peak_memory()),
            **({"peak_gpu_memory_bytes": gpu} if gpu else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Count from what the processes before have spent."""
        self._before = dict(state)


def _peak_gpu_memory() -> int:
    """Return the most bytes of tensors on this process's GPU so far; 0 where it used none."""
    return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_initialized() else 0  # type: ignore[no-untyped-call]


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()
