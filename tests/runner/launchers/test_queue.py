"""The order of jobs: first stages first, a dead process once more, what cannot run is skipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from repro.runner.launchers import Ended, Order, queue
from tests.support.short_runs import job


def _order(*jobs: Any, have: frozenset[str] = frozenset(), deaths: int = 2) -> tuple[Order, list[tuple[str, Any]]]:
    said: list[tuple[str, Any]] = []

    def watch(name: str, event: Mapping[str, Any]) -> None:
        said.append((name, event))

    return Order(jobs, have, watch, deaths), said


def test_a_second_stage_waits_for_the_first() -> None:
    """Both places are free, one job can start; a diverged first stage counts as finished."""
    first = job(3)
    second = replace(job(4), after=(first.name,))
    order, _ = _order(second, first)
    assert order.take(2) == [first]
    assert order.take(2) == []
    order.end(Ended(first.name, "diverged"))
    assert order.take(2) == [second]


def test_what_builds_on_a_failed_run_is_skipped_with_its_name() -> None:
    """A chain of three: the first fails, both others are skipped, each naming what it lacked."""
    first = job(3)
    second = replace(job(4), after=(first.name,))
    third = replace(job(5), after=(second.name,))
    order, said = _order(first, second, third)
    order.take(1)
    order.end(Ended(first.name, "failed", "x"))
    assert order.take(3) == []
    assert [(e.name, e.status) for e in order.ended] == [
        (first.name, "failed"), (second.name, "skipped"), (third.name, "skipped")
    ]  # fmt: skip
    assert second.name in order.ended[2].message
    assert [name for name, _ in said] == [first.name, second.name, third.name]


def test_a_record_that_exists_is_not_run_and_settles_its_followers() -> None:
    """``have`` counts as finished."""
    first = job(3)
    second = replace(job(4), after=(first.name,))
    order, _ = _order(first, second, have=frozenset({first.name}))
    assert order.take(5) == [second]


def test_a_process_that_dies_is_replaced_once() -> None:
    """The job comes back first in line; at its second death it is reported as failed."""
    one, two = job(3), job(4)
    order, said = _order(one, two)
    assert order.take(1) == [one]
    order.died(one, "killed")
    assert order.ended == []
    assert "going on from the checkpoint" in said[-1][1]["phase"]
    assert order.take(1) == [one]
    order.died(one, "killed")
    assert [e.status for e in order.ended] == ["failed"]
    assert "2 times" in order.ended[0].message
    assert order.take(1) == [two]


def test_a_job_that_another_command_does_is_asked_for_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Busy is no ending: the job waits a moment and comes again."""
    clock = [100.0]
    monkeypatch.setattr(queue.time, "monotonic", lambda: clock[0])
    one = job(3)
    order, said = _order(one)
    order.take(1)
    order.end(Ended(one.name, "busy"), one)
    assert order.ended == []
    assert said == []
    assert order.take(1) == []
    clock[0] += queue.BUSY_SECONDS
    assert order.take(1) == [one]
