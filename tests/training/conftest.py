"""Fixtures shared by the tests of training."""

from __future__ import annotations

import pytest

from repro.config import profiles
from repro.config.experiment import Run, Training
from repro.config.networks import GCN, Model

STEPS = 24


@pytest.fixture(scope="module")
def run() -> Run:
    """A short run of the laptop profile."""
    found = profiles.get("shapes", steps=STEPS).resolve(Training(Model(GCN(3))))
    assert found is not None
    return found
