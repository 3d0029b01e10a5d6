"""Fixtures shared by the tests: real data where it is given, a cache for the whole session."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# One thread in every test: results do not depend on it, and several workers share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The data root of REPRO_DATA; tests that need it are skipped, and say so, where it is unset."""
    root = os.environ.get("REPRO_DATA")
    if not root:
        pytest.skip("REPRO_DATA is unset: no real data here")
    return Path(root)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of decoded stores that all tests of one worker share."""
    return tmp_path_factory.mktemp("cache")
