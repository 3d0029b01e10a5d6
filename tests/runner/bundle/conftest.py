"""Fixtures shared by the tests of bundles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repro.config.machine import Machine
from tests.support.data_files import make_camvid

WEIGHTS = 3_000_000


@pytest.fixture
def camvid(tmp_path: Path, cache: Path) -> Machine:
    """A data root in CamVid's layout and a file in the place of weights, which nobody reads."""
    root = tmp_path / "data"
    make_camvid(root)
    weights = tmp_path / "resnet50.safetensors"
    weights.write_bytes(np.random.default_rng(0).bytes(WEIGHTS))
    return Machine(runs=tmp_path / "runs", cache=cache, data_root=root, weights=weights)
