"""Tests of repro.runner.launchers.torchrun."""

from __future__ import annotations

import pytest

from repro.config.errors import SpecError
from repro.runner.launchers.torchrun import check
from repro.training.process_group import Group
from tests.support.short_runs import job


def test_evaluations_need_no_divisible_batch() -> None:
    """Only trainings share a batch."""
    check([job(3)], Group(0, 4, 4))
    with pytest.raises(SpecError, match="batch of 8 does not divide over 5"):
        check([job(3)], Group(0, 5, 5))
