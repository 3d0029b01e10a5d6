"""Tests of repro.results.restore."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.config import profiles
from repro.config.errors import RecordError
from repro.config.experiment import Training
from repro.config.hashing import canonical, key_of_tree
from repro.config.networks import GCN, Model
from repro.paper.tables import all_tables
from repro.results.records import Record, load
from repro.results.restore import run_of
from tests.support import simulate

RUN = profiles.get("shapes").resolve(Training(Model(GCN(7))))


def test_every_run_comes_back_from_its_record(tmp_path: Path) -> None:
    """The tree in a record gives the run that wrote it, with its key, for every table and profile."""
    seen = set()
    for profile in profiles.PROFILES.values():
        for table in all_tables().values():
            for run, _ in simulate.runs(table, profile).values():
                if run.key not in seen:
                    seen.add(run.key)
                    simulate.write(tmp_path, run, 0, name=run.key)
    found = load({"local": tmp_path}).records
    assert len(found) == len(seen) > 50
    assert {run_of(record).key for record in found} == seen


def test_record_of_another_version_is_refused(tmp_path: Path) -> None:
    """A spec that this version cannot express, or that has another key, is one sentence."""
    assert RUN is not None
    spec = {"type": "Run", "colour": "red"}
    simulate.write(tmp_path, RUN, 0, spec=spec, key=key_of_tree(spec), name="red")
    (record,) = load({"local": tmp_path}).records
    with pytest.raises(RecordError, match="another version"):
        run_of(record)
    with pytest.raises(RecordError, match="another version"):
        run_of(Record(record.folder, {**record.meta, "spec": canonical(RUN)}, "local"))
