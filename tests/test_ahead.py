"""The next batch, made while this one is used."""

from __future__ import annotations

import threading

import pytest

from repro.data.ahead import Ahead


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
