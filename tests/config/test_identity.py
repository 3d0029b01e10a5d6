"""Tests of repro.config.identity: no score is pooled, reused or resumed on data, weights or arithmetic not its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from repro.config.errors import CheckpointError
from repro.config.experiment import Training, source_names
from repro.config.identity import Identity, conflicts, majority
from repro.config.networks import GCN, Conv1x1, Model
from repro.config.profiles import get
from repro.report.compare import compare
from repro.results import records
from repro.results.counts import Counts
from repro.results.records import load
from repro.results.scores import Scores
from repro.runner.plan import plan_runs
from repro.training import checkpoint
from tests.support import simulate

RUNS = [run for run, _ in simulate.runs(simulate.TABLE, simulate.PROFILE).values()]


RUN = RUNS[0]


A, B = {"tiny/train": "aaaa1111", "tiny/val": "aaaa2222"}, {"tiny/train": "bbbb1111", "tiny/val": "bbbb2222"}


def measure(root: Path, wished: dict[str, str] | None = None, place: str = "local") -> Any:
    """Return the measurement of the records under ``root``."""
    return Scores(load({place: root}), wished or {}).measure(RUN.key, place, "miou")


def test_seeds_of_two_data_sets_are_not_pooled(tmp_path: Path) -> None:
    """Two seeds on A and one on B: the mean is of A's, B's stands apart."""
    simulate.write(tmp_path, RUN, 0, 0.3, data=A)
    simulate.write(tmp_path, RUN, 1, 0.3, data=A)
    simulate.write(tmp_path, RUN, 2, 0.9, data=B)
    found = measure(tmp_path)
    assert [sample.seed for sample in found.samples] == [0, 1]
    assert [sample.seed for sample in found.other_data] == [2]


def test_what_the_user_names_comes_first(tmp_path: Path) -> None:
    """The data root that is named now decides for local records, and not for the project's own."""
    simulate.write(tmp_path, RUN, 0, data=A)
    simulate.write(tmp_path, RUN, 1, data=A)
    simulate.write(tmp_path, RUN, 2, data=B)
    assert [sample.seed for sample in measure(tmp_path, B).samples] == [2]
    assert [sample.seed for sample in measure(tmp_path, B, "reference").samples] == [0, 1]


def test_start_weights_count_as_much_as_data(tmp_path: Path) -> None:
    """Other start weights under the same data are apart too, told by the record of either schema."""
    name = "resnet50.safetensors sha256:"
    simulate.write(tmp_path, RUN, 0, data=A, weights_file=name + "11" * 32)
    simulate.write(tmp_path, RUN, 1, data=A, weights_file=name + "11" * 32)
    simulate.write(tmp_path, RUN, 2, data=A, weights_file=name + "22" * 32)
    found = measure(tmp_path)
    assert [sample.seed for sample in found.samples] == [0, 1]
    backbone = RUN.model.backbone
    assert found.other_data[0].record.identity.sources[f"weights of {backbone}"] == "22" * 32
    tree = Identity({**A, f"weights of {backbone}": "11" * 32}, {}).as_tree()
    simulate.write(tmp_path, RUN, 3, identity=tree)
    assert [sample.seed for sample in measure(tmp_path).samples] == [0, 1, 3]


def test_cells_of_two_data_sets_are_not_compared(tmp_path: Path) -> None:
    """A cell that exists on B alone has no score among cells on A, no gain, no claim; a note names it."""
    for run in RUNS[1:]:
        simulate.write(tmp_path, run, 0, data=A)
    simulate.write(tmp_path, RUN, 0, data=B)
    view = compare(simulate.TABLE, simulate.PROFILE, load({"local": tmp_path}), Counts({}), places=("local",))
    first = view.rows[0].cells[0].outcomes[0]
    assert first.status == "other data"
    assert np.isnan(first.value)
    assert view.claims[0].verdict == "not run"
    [note] = [note for note in view.notes if note.startswith("other data")]
    assert "tiny/train bbbb1111" in note
    assert "instead of tiny/train aaaa1111" in note


def test_one_seed_of_a_cpu_and_a_gpu(tmp_path: Path) -> None:
    """The record whose arithmetic the other seeds share counts; the other is shown beside it, neither is a fault."""
    simulate.write(tmp_path, RUN, 0, 0.5, data=A, device="AMD EPYC")
    simulate.write(tmp_path, RUN, 0, 0.6, data=A, device="NVIDIA H100", name="copy")
    simulate.write(tmp_path, RUN, 1, 0.6, data=A, device="NVIDIA H100")
    found = measure(tmp_path)
    assert found.faults == ()
    assert [sample.record.meta["device"] for sample in found.samples] == ["NVIDIA H100"] * 2
    assert [sample.record.meta["device"] for sample in found.other_arithmetic] == ["AMD EPYC"]


def test_majority_has_no_contradiction() -> None:
    """What agrees with the largest set is added to it; what contradicts it is not."""
    other = {"tiny/test": "cccc"}
    assert majority([A, A, B, other]) == {**A, **other}
    assert majority([A, A, B], B) == B
    assert conflicts(A, {"tiny/val": "x", "else": "y"}) == ("tiny/val",)


def test_a_record_of_other_data_is_not_done(tmp_path: Path) -> None:
    """Under the data named now, a run recorded on other data is planned anew, in a folder of its own."""
    simulate.write(tmp_path, RUN, 0, data=A)
    shelf = load({"local": tmp_path})
    cells = {(2, "Score (GCN)", "3"): RUN}
    assert plan_runs("tiny", cells, [0], shelf).missing == ()
    assert plan_runs("tiny", cells, [0], shelf, wished=A).missing == ()
    [job] = plan_runs("tiny", cells, [0], shelf, wished=B).missing
    assert job.name.startswith(f"{RUN.slug}-{RUN.key}-s0-d")
    simulate.write(tmp_path, RUN, 0, data=B, name=job.name)
    both = load({"local": tmp_path})
    assert plan_runs("tiny", cells, [0], both, wished=B).missing == ()
    assert plan_runs("tiny", cells, [0], both, wished=A).missing == ()
    assert records.stands(tmp_path, job.name)


def test_stages_follow_the_data(tmp_path: Path) -> None:
    """An evaluation of another run's weights names the training of the same data as what comes before it."""
    profile = get("shapes", steps=3)
    protocol = replace(RUN, evaluation=replace(RUN.evaluation, scales=(1.0, 0.5)))
    simulate.write(tmp_path, RUN, 0, data=A)
    cells = {(9, "a", "b"): protocol}
    first, second = plan_runs(profile.name, cells, [0], load({"local": tmp_path}), wished=B).jobs
    assert second.after == (first.name,)


def test_names_of_sources() -> None:
    """Splits of the mix and the test, of every stage before too; weights where a training starts from a file."""
    run = get("camvid_half").resolve(Training(Model(Conv1x1())))
    assert run is not None
    assert source_names(run) == {"camvid_half/train", "camvid_half/val", "weights of resnet50"}
    shapes = get("shapes").resolve(Training(Model(GCN(3))))
    assert shapes is not None
    assert source_names(shapes) == {"shapes/train", "shapes/test"}


def test_a_checkpoint_of_another_seed_or_precision_is_refused(tmp_path: Path) -> None:
    """Each part of the identity is told by its name; a checkpoint that does not say its identity is refused too."""
    net = torch.nn.Linear(1, 1)
    ours = {"seed": 0, **Identity(A, {"precision": "32-true", "threads": 1}).as_tree()}
    for name, theirs in {
        "seed 1 there, 0 here": ours | {"seed": 1},
        "precision bf16-mixed there, 32-true here": ours | {"arithmetic": {"precision": "bf16-mixed", "threads": 1}},
        "threads 2 there, 1 here": ours | {"arithmetic": {"precision": "32-true", "threads": 2}},
        "tiny/train bbbb1111 there, aaaa1111 here": ours | {"sources": B},
        "another record to start from": ours | {"parent": "abc"},
    }.items():
        checkpoint.save(tmp_path, {"model": net}, 5, "key", theirs)
        with pytest.raises(CheckpointError, match=name):
            checkpoint.resume(tmp_path, {"model": net}, "key", ours)
    checkpoint.save(tmp_path, {"model": net}, 5, "key", ours)
    assert checkpoint.resume(tmp_path, {"model": net}, "key", ours) == 5
    checkpoint.save(tmp_path, {"model": net}, 5, "key")
    with pytest.raises(CheckpointError, match="did not note data"):
        checkpoint.resume(tmp_path, {"model": net}, "key", ours)
