"""Tests of repro.runner.worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from repro.config import identity
from repro.config.dataset_info import DatasetInfo
from repro.config.errors import CheckpointError, WorkError
from repro.config.experiment import source_names
from repro.config.identity import conflicts
from repro.data import shapes
from repro.data.dataset import Dataset, Item
from repro.results import records
from repro.results.records import load
from repro.results.scores import Scores
from repro.runner import worker
from repro.runner.plan import plan_runs
from repro.runner.sources import known_here
from repro.training import checkpoint
from tests.support import short_runs


@pytest.fixture
def other_data(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a call after which the generated data set has other pictures under the same names."""
    made = shapes.load

    def load_other(info: DatasetInfo, split: str, root: Path | None) -> Dataset:
        found = made(info, split, root)

        def read(i: int) -> Item:
            image, labels = found.reader(i)
            return 255 - image, labels

        return replace(found, reader=read, version="other")

    def switch() -> None:
        monkeypatch.setattr(shapes, "load", load_other)

    yield switch
    monkeypatch.undo()


def test_records_and_checkpoints_on_changed_data(tmp_path: Path, other_data: Any) -> None:
    """One run on data A, then on B: two records beside each other; a checkpoint of A is refused on B."""
    place = short_runs.place(tmp_path / "runs", tmp_path / "cache")
    task = short_runs.job(steps=12)
    assert short_runs.execute(task, place).status == "ok"
    [record] = load({"local": place.local}).records
    sources = record.identity.sources
    assert sources == known_here(source_names(task.run), place)
    assert record.identity.arithmetic["precision"] == "32-true"
    assert record.identity.arithmetic["numerics"] == identity.NUMERICS
    unfinished = short_runs.job(steps=12, seed=1)
    work = place.work / unfinished.name
    work.mkdir(parents=True)
    tree = {"seed": 1, **record.identity.as_tree()}
    net = torch.nn.Linear(1, 1)
    checkpoint.save(work, {"model": net, "optimizer": net}, 5, unfinished.run.key, tree)

    other_data()
    with pytest.raises(CheckpointError, match=r"other conditions \(shapes/test .* there, .* here; shapes/train"):
        short_runs.execute(unfinished, place)
    wished = known_here(source_names(task.run), place)
    assert len(conflicts(wished, sources)) == 2
    shelf = load({"local": place.local})
    [again] = plan_runs("shapes", {(1, "a", "b"): task.run}, [0], shelf, wished=wished).missing
    assert short_runs.execute(again, place).status == "ok"
    both = load({"local": place.local})
    assert len(both.records) == 2
    found = Scores(both, wished).measure(task.run.key, "local", "miou")
    assert [sample.record.name for sample in found.samples] == [again.name]
    assert [sample.record.name for sample in found.other_data] == [record.name]


def test_an_evaluation_takes_the_training_of_its_own_data(tmp_path: Path, other_data: Any) -> None:
    """Weights trained on A are not evaluated as if they were B's; with both there, B's are taken."""
    place = short_runs.place(tmp_path / "runs", tmp_path / "cache")
    task = short_runs.job(steps=3)
    short_runs.execute(task, place)
    other_data()
    protocol = replace(task.run, evaluation=replace(task.run.evaluation, scales=(1.0, 0.5)))
    name = f"{protocol.slug}-{protocol.key}-s0"
    with pytest.raises(WorkError, match="was made from other data or weights"):
        worker.execute(protocol, 0, name, place, lambda _: None)
    wished = known_here(source_names(task.run), place)
    shelf = load({"local": place.local})
    for job in plan_runs("shapes", {(1, "a", "b"): protocol}, [0], shelf, wished=wished).missing:
        short_runs.execute(job, place)
    [evaluated] = load({"local": place.local}).of(protocol.key)
    assert dict(evaluated.identity.sources) == wished
    parent = place.local / str(evaluated.meta["weights_from"]) / "record.json"
    assert records.Record(parent.parent, json.loads(parent.read_text()), "local").digest == evaluated.identity.parent
