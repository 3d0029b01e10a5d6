"""`nox -s stress`: a run killed with -9 at random moments, again and again, ends with the same bits."""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import pytest

from tests.support.short_runs import differences, execute, in_child, job, killed_after, place, record

pytestmark = [pytest.mark.stress, pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")]
KILLS = int(os.environ.get("REPRO_STRESS", "50"))


def test_killed_at_random_moments_the_bits_are_the_same(tmp_path: Path, cache: Path) -> None:
    """Training, evaluation and the writing of checkpoints and records: every moment may be the last."""
    task = job(200)
    whole = place(tmp_path / "whole", cache, 1e9)
    began = time.monotonic()
    assert execute(task, whole).status == "ok"
    length = time.monotonic() - began
    seed = int(os.environ.get("REPRO_STRESS_SEED", time.time_ns() % 2**32))
    print(f"seed {seed}, {length:.2f} s undisturbed")  # noqa: T201 - what repeats a failure
    draws, kills, lives = random.Random(seed), 0, 0  # noqa: S311 - moments, not secrets
    while kills < KILLS:
        where = place(tmp_path / f"life{lives}", cache)
        while not (record(where, task) / "record.json").exists():
            kills += not killed_after(in_child(task, where), draws.uniform(0, length))
        assert differences(record(where, task), record(whole, task)) == [], f"life {lives}, seed {seed}"
        assert not list(where.local.glob(".shapes*"))
        lives += 1
    print(f"{kills} kills in {lives} lives")  # noqa: T201 - as above
