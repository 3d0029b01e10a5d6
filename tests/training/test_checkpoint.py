"""Checkpoints written in a thread: what was copied is written, one at a time, and a refusal is never lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from repro.config import profiles
from repro.config.errors import CheckpointError
from repro.config.experiment import Run, Training
from repro.config.machine import Machine
from repro.config.networks import GCN, Model
from repro.training import checkpoint
from repro.training.checkpoint import Writer
from repro.training.distributed import open_fabric
from repro.training.signals import Interrupted
from repro.training.trainer import train

STEPS = 24


class Gate:
    """Holds every file back until it is opened; says how many wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand before the writing of files."""
        self.open, self.arrived, self.inside, self.most = threading.Event(), threading.Event(), 0, 0
        monkeypatch.setattr(checkpoint, "write", self._wait)
        self._write = WRITE

    def _wait(self, target: Path, *parts: Any) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.arrived.set()
        assert self.open.wait(60)
        self._write(target, *parts)
        self.inside -= 1


WRITE = checkpoint.write


def _refuse(target: Path, *_: Any) -> None:
    raise CheckpointError(f"{target}: no room")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Every writer ends its thread."""
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("checkpoint")]


@pytest.fixture
def run() -> Run:
    """A short run of the laptop profile."""
    found = profiles.get("shapes", steps=STEPS).resolve(Training(Model(GCN(3))))
    assert found is not None
    return found


def _batch(step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(2, 3, 12, 12, generator=generator)
    return images, torch.randint(0, 6, (2, 12, 12), generator=generator).to(torch.uint8)


def _train(run: Run, work: Path, batch: Any = _batch, seconds: float = 0.0) -> nn.Module:
    work.mkdir(exist_ok=True)
    torch.manual_seed(0)
    net = nn.Conv2d(3, 6, 3, padding=1)
    train(run, net, batch, open_fabric(Machine(device="cpu", precision="32")), work, checkpoint_seconds=seconds)
    return net


def _stopping(step: int) -> tuple[Tensor, Tensor]:
    if step == 13:
        os.kill(os.getpid(), signal.SIGTERM)
    return _batch(step)


def _steps(work: Path) -> list[int]:
    return [int(path.stem.partition("-")[2]) for path in sorted(work.glob("checkpoint-*.pt"))]


def test_what_is_written_is_the_state_when_it_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The training goes on while the file waits for the disk."""
    gate, net = Gate(monkeypatch), nn.Linear(4, 4)
    before = net.weight.detach().clone()
    with Writer() as writer:
        writer.save(tmp_path, {"model": net}, 10, "key")
        assert gate.arrived.wait(60)
        nn.init.zeros_(net.weight)
        assert _steps(tmp_path) == []
        gate.open.set()
    assert checkpoint.resume(tmp_path, {"model": net}, "key") == 10
    assert torch.equal(net.weight, before)


def test_one_is_written_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one waits for the first; the two newest stay."""
    gate, net = Gate(monkeypatch), nn.Linear(4, 4)
    threading.Timer(0.2, gate.open.set).start()
    with Writer() as writer:
        for step in (10, 20, 30):
            writer.save(tmp_path, {"model": net}, step, "key")
        began = time.monotonic()
        writer.wait()
        assert time.monotonic() - began < 60
    assert gate.most == 1
    assert _steps(tmp_path) == [20, 30]


def test_a_refusal_is_raised_by_the_next_save_and_by_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once each; what stopped the training otherwise is said first."""
    monkeypatch.setattr(checkpoint, "write", _refuse)
    net = nn.Linear(4, 4)
    with Writer() as writer:
        writer.save(tmp_path, {"model": net}, 10, "key")
        with pytest.raises(CheckpointError, match=r"checkpoint-00000010.pt: no room"):
            writer.save(tmp_path, {"model": net}, 20, "key")
    with pytest.raises(CheckpointError, match="no room"), Writer() as writer:
        writer.save(tmp_path, {"model": net}, 30, "key")
    writer = Writer()
    writer.save(tmp_path, {"model": net}, 40, "key")
    writer.__exit__(KeyError, KeyError("other"), None)  # raises nothing of its own


def test_a_training_whose_checkpoints_are_refused_ends_with_the_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the next checkpoint, at the end, and where it was asked to stop: it does not claim to have saved."""
    monkeypatch.setattr(checkpoint, "write", _refuse)
    for name, steps, batch in (("next", STEPS, _batch), ("end", 10, _batch), ("stop", STEPS, _stopping)):
        with pytest.raises(CheckpointError, match="no room"):
            _train(replace(run, steps=steps), tmp_path / name, batch, 1e9 if name == "stop" else 0.0)


def test_a_stop_waits_for_its_checkpoint(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked may end the process when the training has stopped."""

    def slow(target: Path, *parts: Any) -> None:
        time.sleep(0.3)
        WRITE(target, *parts)

    monkeypatch.setattr(checkpoint, "write", slow)
    with pytest.raises(Interrupted):
        _train(run, tmp_path, _stopping, 1e9)
    assert _steps(tmp_path) == [14]


@pytest.mark.parametrize(("seconds", "steps"), [(0.0, [20, STEPS]), (1e9, []), (float("inf"), [])])
def test_the_end_is_kept_where_the_last_checkpoint_is_old(
    run: Run, tmp_path: Path, seconds: float, steps: list[int]
) -> None:
    """The record follows; where it does not, no more is lost than between two checkpoints."""
    _train(run, tmp_path, seconds=seconds)
    assert _steps(tmp_path) == steps


def test_a_partial_file_of_a_killed_process_is_no_checkpoint(run: Run, tmp_path: Path) -> None:
    """Its name is another until the disk has all of it."""
    (tmp_path / "checkpoint-00000020.1.partial").write_bytes(b"half")
    assert checkpoint.resume(tmp_path, {}, run.key) == 0
