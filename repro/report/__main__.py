"""`python -m repro.report`: render tables and claims from the records."""

from __future__ import annotations

from collections.abc import Callable

from repro.config import console


def _load() -> Callable[[], int]:
    from repro.report.build import main

    return main


if __name__ == "__main__":
    console.run(_load)
