"""Count the whole networks of every profile's runs, for plans that need no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from repro import cost, profiles
from repro.atomic import atomic_write
from repro.compute import STORED, Pass, passes
from repro.experiment import Run
from repro.measure import plan
from repro.records import Shelf
from repro.specs import tables


def all_runs() -> Iterator[Run]:
    """Yield every run of every profile at its full length."""
    for profile in profiles.PROFILES.values():
        yield from (job.run for job in plan(tables().values(), profile, (0,), Shelf(())).jobs)


def count(one: Pass) -> dict[str, int]:
    """Count parameters and multiply-adds of one forward pass on the meta device."""
    return {
        "params": cost.network_params(one.model, one.classes),
        "macs": cost.network_macs(one.model, one.classes, one.height, one.width),
    }


def store(path: Path = STORED) -> int:
    """Write the counts of every pass; return their number."""
    found = {one.name: count(one) for one in passes(all_runs())}
    tree = {"convention": cost.CONVENTION, "networks": found}
    atomic_write(path, json.dumps(tree, indent=1, sort_keys=True) + "\n")
    return len(found)
