"""The time limit of a command: its forms, what is begun, what is put off, and what is stopped at a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from repro.cli import run
from repro.cli.options import Request
from repro.config.errors import SpecError
from repro.config.experiment import Job
from repro.runner.launchers import Budget, Ended, Local, Order
from repro.runner.launchers.budget import read
from tests.support import ROOT
from tests.support.clock import Clock
from tests.support.short_runs import differences, execute, job, place, record


@pytest.mark.parametrize(("text", "seconds"), [
    ("90", 90), ("90s", 90), ("9m", 540), ("1h30m", 5400), ("1h", 3600), ("1h0m5s", 3605), ("0.5h", 1800),
    (" 2M ", 120),
])  # fmt: skip
def test_lengths_of_time_are_read(text: str, seconds: float) -> None:
    assert read(text) == seconds


@pytest.mark.parametrize("text", ["0", "0m", "-5", "9 minutes", "m", "", "1m1h", "nan", "inf", "1e9", "5d"])
def test_what_is_no_length_of_time_is_said(text: str) -> None:
    with pytest.raises(SpecError, match=r"--time-limit .* such as 90 or 90s \(seconds\), 9m, 1h30m"):
        read(text)


def _order(budget: Budget, *jobs: Job) -> tuple[Order, list[tuple[str, Any]]]:
    said: list[tuple[str, Any]] = []

    def watch(name: str, event: Mapping[str, Any]) -> None:
        said.append((name, event))

    return Order(jobs, frozenset(), watch, budget=budget), said


def test_what_cannot_end_is_not_begun_and_a_shorter_one_is() -> None:
    """In the order given; when nothing runs and nothing fits, each is put off with its reason, none is lost."""
    clock = Clock()
    long, short, shorter = job(900), job(200), job(100)
    follower = replace(job(10, k=5), after=(long.name,))
    order, _ = _order(
        Budget(100.0, lambda one: float(one.run.steps), lambda _: None, None, clock), short, long, shorter, follower
    )
    assert order.take(1) == [short]
    clock.now += 50
    assert not order.out_of_time(1)
    order.end(Ended(short.name, "ok", seconds=50.0))
    assert order.take(1) == [shorter]
    assert not order.out_of_time(1)
    clock.now += 25
    order.end(Ended(shorter.name, "ok", seconds=25.0))
    assert order.take(5) == []
    assert order.out_of_time(0)
    order.postpone()
    assert [(end.name, end.status) for end in order.ended[2:]] == [
        (long.name, "postponed"),
        (follower.name, "postponed"),
    ]
    assert order.ended[2].message == "not begun within the time limit of 1:40: about 3:45 needed, 0:25 left"
    assert order.ended[3].message == f"not begun: {long.name}, which it builds on, is not finished"


def test_at_the_limit_everything_stops() -> None:
    clock = Clock()
    order, _ = _order(Budget(100.0, lambda _: None, lambda _: None, None, clock), job(3), job(4))
    assert order.take(1) == [job(3)]
    clock.now += 100
    assert order.out_of_time(1)
    order.interrupt(job(3), Ended(job(3).name, "interrupted", "x"))
    order.postpone()
    assert [end.status for end in order.ended] == ["interrupted", "postponed"]
    assert "time limit: its checkpoint is kept" in order.ended[0].message
    assert "time limit of 1:40 reached" in order.ended[1].message


def test_a_job_that_ended_at_the_limit_ended() -> None:
    order, _ = _order(Budget(100.0), job(3), job(4))
    order.take(2)
    order.interrupt(job(3), Ended(job(3).name, "ok", seconds=1.0))
    order.interrupt(job(4), None)
    assert [end.status for end in order.ended] == ["ok", "interrupted"]
    assert "did not answer" in order.ended[1].message


def test_a_running_training_is_saved_at_the_limit_and_taken_up_to_the_same_bits(tmp_path: Path, cache: Path) -> None:
    """The path of SIGTERM: its checkpoint is there, the rest is not begun, and the next command has the same bits."""
    where, whole = place(tmp_path / "limited", cache, 1e9), place(tmp_path / "whole", cache, 1e9)
    task, other = job(150), job(3, k=5)
    budget = Budget(1e9)

    def watch(_: str, event: Mapping[str, Any]) -> None:
        if "loss" in event and budget.left > 0:
            budget.began = time.monotonic() - budget.seconds  # it is over now

    ended = Local(1, where, budget=budget).run([task, other], frozenset(), watch)
    assert [(end.name, end.status) for end in ended] == [(task.name, "interrupted"), (other.name, "postponed")]
    assert list((where.work / task.name).glob("checkpoint-*.pt"))
    assert execute(task, where).status == execute(task, whole).status == "ok"
    assert differences(record(where, task), record(whole, task)) == []


class Launched:
    """A launcher that ends every job as it is told."""

    about = "nowhere"

    def __init__(self, *statuses: str) -> None:
        """Take how the jobs end, in turn; the last for all others."""
        self.statuses = statuses

    def run(self, jobs: Any, have: Any, watch: Any) -> list[Ended]:  # noqa: ARG002 - the launchers' signature
        """Return the endings."""
        found = list(jobs)
        words = [*self.statuses, *[self.statuses[-1]] * len(found)]
        return [Ended(one.name, words[i], f"why {i}") for i, one in enumerate(found)]


@pytest.mark.parametrize(("statuses", "code"), [
    (("ok",), 0), (("ok", "interrupted", "postponed"), 143), (("ok", "postponed"), 143),
    (("failed", "postponed"), 1), (("error", "interrupted"), 2),
])  # fmt: skip
def test_the_exit_code_of_a_limit_is_that_of_a_stop(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    statuses: tuple[str, ...],
    code: int,
) -> None:
    """143 where something is left for the next command; a mistake or a failure goes before it; one sentence sums up."""
    monkeypatch.setattr(run, "_launcher", lambda *_: Launched(*statuses))
    request = Request(("table2",), "shapes", 1, 3, "", tmp_path)
    how = run.How(1, None, None, "cpu", "32", "", time_limit="9m")
    assert run.start(Console(width=200), request, how) == code
    said = capsys.readouterr().out
    assert ("the same command goes on from there" in said) == ("postponed" in statuses or "interrupted" in statuses)


def test_a_limit_shorter_than_the_first_run_is_one_sentence(tmp_path: Path) -> None:
    """By the shipped records' times, before anything is trained."""
    root = ROOT
    (tmp_path / "reference").symlink_to(root / "runs" / "reference")
    request = Request(("table2",), "shapes", 1, None, "", tmp_path)
    how = run.How(1, None, None, "cpu", "32", "", time_limit="2s")
    with pytest.raises(SpecError, match=r"--time-limit 2s: shapes-.*, the first run, is expected to take .* --only"):
        run.start(Console(quiet=True), request, how)
    assert not (tmp_path / "local").exists()


def test_the_jobs_are_taken_in_the_order_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook for what is urgent."""
    seen: list[str] = []

    class Listing(Launched):
        def run(self, jobs: Any, have: Any, watch: Any) -> list[Ended]:
            seen.extend(one.name for one in jobs)
            return super().run(jobs, have, watch)

    monkeypatch.setattr(run, "_launcher", lambda *_: Listing("ok"))
    request = Request(("table2",), "shapes", 1, 3, "", tmp_path)
    how = run.How(1, None, None, "cpu", "32", "")
    run.start(Console(quiet=True), request, how, lambda jobs: sorted(jobs, key=lambda one: one.name))
    assert seen == sorted(seen)
    assert len(seen) > 3
