"""`repro submit` on small networks and a test set that the test writes: archives that the validators take."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from repro import data, models
from repro.cli import submit
from repro.cli.submit import Request
from repro.config import profiles
from repro.config.errors import DataError, RecordError, SpecError, SubmissionError
from repro.config.experiment import Run, Source, folder_name
from repro.config.hashing import canonical
from repro.config.machine import Machine
from repro.evaluation import submission
from repro.paper.schema import submitted
from repro.paper.tables import all_tables
from repro.results import records, server_scores
from tests.support.data_files import make_cityscapes, make_voc, noise

OUT = Console(quiet=True)
DATASETS = {8: "voc", 10: "cityscapes"}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Profile paper with the small backbone, frames of 32 pixels and three scales' worth of work at most."""
    profile = replace(
        profiles.PAPER,
        backbones=dict.fromkeys(profiles.PAPER.backbones, "small"),
        pretrained=frozenset(),
        largest_k=3,
        tests={"voc_test": Source("voc", "test", 32, 32), "cityscapes_test": Source("cityscapes", "test")},
    )
    monkeypatch.setitem(profiles.PROFILES, "paper", profile)  # type: ignore[arg-type]


def _trained(number: int, runs: Path, classes: tuple[str, ...]) -> Run:
    """Write a record of the network that a table submits, untrained."""
    cell = submitted(all_tables()[number])
    assert cell is not None
    run = profiles.get("paper").resolve(cell.training)
    assert run is not None
    torch.manual_seed(0)
    net = models.build(run.model, len(classes), head_std=1.0)
    weights = runs.parent / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, weights)
    meta = {"key": run.key, "seed": 0, "status": "ok", "spec": canonical(run), "classes": list(classes)}
    records.append(runs / "local", folder_name(run, 0), meta, {}, [weights])
    return run


def _request(number: int, folder: Path, profile: str = "paper") -> Request:
    place = Machine(runs=folder / "runs", data_root=folder / "data", device="cpu", precision="32")
    return Request(f"table{number}", profile, place, out=folder / "sent" / "archive")


@pytest.mark.parametrize("number", [8, 10])
def test_the_archive_is_what_the_server_takes(number: int, tmp_path: Path) -> None:
    """Multi-scale, crops and CRF on every test image; the validator reads the archive; a note says what it holds."""
    (make_voc if number == 8 else make_cityscapes)(tmp_path / "data")
    dataset = data.load(DATASETS[number], "test", tmp_path / "data")
    run = _trained(number, tmp_path / "runs", dataset.classes)
    if number == 10:  # an untrained network may miss every id above 18, which the validator rightly suspects
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(submission, "check_cityscapes", lambda *_: None)
            path = submit.write_submission(OUT, _request(number, tmp_path))
    else:
        path = submit.write_submission(OUT, _request(number, tmp_path))
        submission.check_voc(path, submission.image_sizes(dataset))
    note = json.loads((path.parent / "archive.json").read_text())
    assert note["record"] == folder_name(run, 0)
    assert note["images"] == len(dataset)
    noted = server_scores.submissions(tmp_path / "runs/local", note["key"])
    assert [(one.record, one.sha256) for one in noted] == [(note["record"], sha256(path.read_bytes()).hexdigest())]
    assert noted[0] == server_scores.read_note(path.parent / "archive.json")
    assert noted[0].record_sha256 == records.load({"local": tmp_path / "runs/local"}).records[0].digest


@pytest.mark.parametrize("number", [8, 10])
def test_an_archive_of_any_writer_is_checked(number: int, tmp_path: Path) -> None:
    """Against the images of the test set; one of other images is refused, and a path where there is none."""
    (make_voc if number == 8 else make_cityscapes)(tmp_path / "data")
    sizes = submission.image_sizes(data.load(DATASETS[number], "test", tmp_path / "data"))
    write, refused = ((submission.write_voc, 1), (submission.write_cityscapes, 18))[number == 10]
    found = {name: np.full(size, refused, np.uint8) for name, size in sizes.items()}
    request, path = _request(number, tmp_path), tmp_path / "sent"
    submit.check_submission(OUT, request, write(found.items(), sizes, path))
    with pytest.raises(SubmissionError, match="cannot be read"):
        submit.check_submission(OUT, request, tmp_path / "none")
    write({"x": noise(0, 3, 4, top=19)}.items(), {"x": (3, 4)}, path)
    with pytest.raises(SubmissionError, match=r"x.*is no image of the test set"):
        submit.check_submission(OUT, request, path)
    with pytest.raises(SpecError, match="use --profile paper"):
        submit.check_submission(OUT, _request(number, tmp_path, "shapes"), path)


def test_what_cannot_be_submitted_is_one_sentence(tmp_path: Path) -> None:
    """No such row, no such test set, no trained network, another data set's network, no data."""
    with pytest.raises(SpecError, match="tables 8 and 10 do"):
        submit.write_submission(OUT, _request(7, tmp_path))
    with pytest.raises(SpecError, match="use --profile paper"):
        submit.write_submission(OUT, _request(8, tmp_path, "shapes"))
    with pytest.raises(RecordError, match="repro run table7 --profile paper"):
        submit.write_submission(OUT, _request(8, tmp_path))
    _trained(8, tmp_path / "runs", ("one", "two"))
    with pytest.raises(DataError, match="not a folder"):
        submit.write_submission(OUT, _request(8, tmp_path))
    make_voc(tmp_path / "data")
    with pytest.raises(RecordError, match="other classes"):
        submit.write_submission(OUT, _request(8, tmp_path))
    assert not (tmp_path / "sent").exists()
