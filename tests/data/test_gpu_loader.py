"""The next batch, made while this one is used."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from repro.data.gpu_loader import Ahead, SideStream


def test_results_are_those_of_the_function() -> None:
    """In order, after a jump (a resume), and twice the same step."""
    with Ahead(lambda step: step * step) as ahead:
        assert [ahead(step) for step in (0, 1, 2, 7, 8, 8, 3)] == [0, 1, 4, 49, 64, 64, 9]


def test_the_next_one_is_made_before_it_is_asked_for() -> None:
    """After step 4 is handed out, step 5 is computed by another thread without being asked for."""
    made: list[int] = []
    fifth = threading.Event()

    def make(step: int) -> str:
        made.append(step)
        if step == 5:
            fifth.set()
        return threading.current_thread().name

    with Ahead(make) as ahead:
        assert ahead(4) != threading.current_thread().name
        assert fifth.wait(10)
        assert made == [4, 5]
        ahead(5)
    assert made[:3] == [4, 5, 6] or made == [4, 5]


def test_a_fault_is_raised_at_its_own_step() -> None:
    """Not one step early: what was finished stays finished."""

    def make(step: int) -> int:
        if step == 2:
            raise ValueError("two")
        return step

    with Ahead(make) as ahead:
        assert ahead(1) == 1
        with pytest.raises(ValueError, match="two"):
            ahead(2)


def test_several_are_made_at_a_time_and_handed_out_in_order() -> None:
    """Three threads, three steps ahead: all are at work at once, no more than three wait, in the order of the steps."""
    together = threading.Barrier(3)
    made: list[int] = []

    def make(step: int) -> int:
        made.append(step)
        if 1 <= step <= 3:
            together.wait(10)  # broken, and so an error at its step, unless three threads come here at once
        return step * step

    with Ahead(make, depth=3, threads=3) as ahead:
        assert ahead(0) == 0
        assert [ahead(step) for step in (1, 2, 3)] == [1, 4, 9]
        assert sorted(made)[:4] == [0, 1, 2, 3]
        assert max(made) <= 6
        assert [ahead(step) for step in (4, 5, 20, 21, 4)] == [16, 25, 400, 441, 16]


def test_a_fault_waits_for_its_step_and_spares_the_others() -> None:
    """Of steps made side by side, the one that fails is raised when it is asked for; the rest stand."""

    def make(step: int) -> int:
        if step == 2:
            raise ValueError("two")
        return step

    with Ahead(make, depth=3, threads=3) as ahead:
        assert [ahead(0), ahead(1)] == [0, 1]
        with pytest.raises(ValueError, match="two"):
            ahead(2)
        assert ahead(3) == 3


def test_threads_end_with_an_interrupt() -> None:
    """Ctrl-C in the training: what has not begun is dropped, the threads end, the interrupt goes on."""
    before, made = threading.active_count(), []

    def training() -> None:
        with Ahead(made.append, depth=3, threads=2) as ahead:
            ahead(0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training()
    assert threading.active_count() == before
    assert set(made) <= {0, 1, 2, 3}


class Streams:
    """Stands for ``torch.cuda``: writes down what is asked of streams, and in which order."""

    def __init__(self) -> None:
        """Begin with an empty list."""
        self.done: list[Any] = []
        self.inside = ""

    def Stream(self, device: object) -> Streams:  # noqa: N802 - torch's name
        """Return a stream."""
        del device
        return self

    def current_stream(self, device: object) -> Streams:
        """Return the training's stream."""
        del device
        return self

    def wait_stream(self, _: object) -> None:
        """Wait for all of another stream."""
        self.done.append("side waits for the training")

    def record_event(self) -> str:
        """Return a mark on the stream."""
        self.done.append(f"mark in {self.inside}")
        return "mark"

    def wait_event(self, event: str) -> None:
        """Wait for a mark."""
        self.done.append(f"training waits for {event}")

    @contextmanager
    def device(self, _: object) -> Iterator[None]:
        """Choose a device."""
        yield

    @contextmanager
    def stream(self, _: object) -> Iterator[None]:
        """Choose the side stream."""
        self.inside = "side"
        yield
        self.inside = ""


class Part(torch.Tensor):
    """A tensor that writes down who uses it."""

    users: list[object]

    def record_stream(self, stream: object) -> None:  # type: ignore[override]
        """Note a stream."""
        self.users = [stream]


def test_the_training_waits_for_a_batch_made_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made on the side stream; waited for by an event; its memory marked as used by the training's stream."""
    streams = Streams()
    for name in ("Stream", "current_stream", "device", "stream"):
        monkeypatch.setattr(torch.cuda, name, getattr(streams, name))
    parts = (torch.zeros(2).as_subclass(Part), torch.zeros(1).as_subclass(Part))

    def make(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        streams.done.append(f"batch {step} in {streams.inside}")
        return parts

    side = SideStream(make, torch.device("cuda", 0))
    assert side.take(side.make(4)) == parts
    assert streams.done == [
        "side waits for the training", "batch 4 in side", "mark in side", "training waits for mark"
    ]  # fmt: skip
    assert all(part.users == [streams] for part in parts)
