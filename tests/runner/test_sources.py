"""Fewer images than published: refused before anything trains, or said before, in the record, and under the table."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from repro.cli import plan
from repro.cli import run as run_module
from repro.cli.options import Request
from repro.config import dataset_info
from repro.config.errors import SpecError
from repro.config.experiment import Job, Training
from repro.config.machine import Machine
from repro.config.networks import GCN, Model
from repro.config.profiles import get
from repro.data import load
from repro.data.cache import PIXELS, open_store
from repro.report import markdown
from repro.report.compare import compare
from repro.results.counts import Counts
from repro.results.records import load as load_records
from repro.runner import job, sources
from tests.support import ROOT, simulate
from tests.support.data_files import make_camvid

SPLITS = {"camvid/train": (2, 367), "camvid/val": (1, 101)}


def how(*, allow: bool) -> run_module.How:
    """Return what was asked for: one process, everything else as it is."""
    return run_module.How(1, None, None, "cpu", "auto", "", allow_partial=allow)


def jobs() -> Any:
    """Return the training of a network of the profile `camvid`."""
    run = get("camvid").resolve(Training(Model(GCN(7))))
    assert run is not None
    return (Job(run, 0),)


def test_what_is_fewer_than_published() -> None:
    """Splits without a published count, and those that hold more, are none."""
    held = {"camvid/train": 6, "camvid/val": 101, "voc/trainaug": 10_583, "camvid_half/fit": 3, "tiny/train": 1}
    assert dataset_info.partial(held) == {"camvid/train": (6, 367)}
    assert dataset_info.shortfall({"b/x": [6, 1367], "a/y": (1, 2)}) == "a/y 1 of 2 images, b/x 6 of 1,367 images"
    assert dataset_info.shortfall(None) == dataset_info.shortfall({}) == dataset_info.shortfall({"a": 3}) == ""


def test_splits_here_are_counted(tmp_path: Path) -> None:
    """One that cannot be loaded is left to the run, which says why; generated data is whole."""
    make_camvid(tmp_path)
    place = Machine(data_root=tmp_path)
    assert sources.partial_here([*SPLITS, "voc/train", "shapes/train"], place) == SPLITS


def test_a_run_is_refused_unless_it_is_meant(tmp_path: Path) -> None:
    """Both splits are said, with the option; with it they are said before the training."""
    make_camvid(tmp_path)
    place, out = Machine(data_root=tmp_path), Console(file=io.StringIO(), width=300)
    said = r"camvid/train 2 of 367 images, camvid/val 1 of 101 images that are published .*--allow-partial"
    with pytest.raises(SpecError, match=said):
        run_module._say_partial(out, how(allow=False), jobs(), place)
    run_module._say_partial(out, how(allow=True), jobs(), place)
    assert isinstance(out.file, io.StringIO)
    assert out.file.getvalue().startswith("fewer images than published: camvid/train 2 of 367 images, camvid/val")
    run_module._say_partial(out, how(allow=False), (), place)


def test_the_command_refuses_before_it_trains(tmp_path: Path) -> None:
    """Exit code 2, one sentence, no record, no store."""
    make_camvid(tmp_path / "data")
    (tmp_path / "w.safetensors").write_bytes(b"x")
    words = [sys.executable, "-m", "repro", "run", "table2", "--profile", "camvid", "--steps", "2", "--only", "gcn-k7",
             "--data-root", "data", "--weights", "w.safetensors"]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "camvid/train 2 of 367 images" in " ".join(done.stderr.split())
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / ".cache").exists()


def session(tmp_path: Path) -> Any:
    """Return what the facts of a record are told of: two stores, one of them partial."""
    make_camvid(tmp_path / "data")
    stores = {name: open_store(load(*name.split("/"), tmp_path / "data"), tmp_path / "cache") for name in SPLITS}
    return SimpleNamespace(leads=True, stores=stores, data={n: s.fingerprint for n, s in stores.items()})


def test_a_record_has_the_counts(tmp_path: Path) -> None:
    """Of every split that the run used."""
    assert dataset_info.partial(job._images(session(tmp_path))) == SPLITS


def test_a_fingerprint_is_recorded_of_sound_content_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What no batch has shown is compared before the record is written, and decoded again where it is damaged."""
    made = session(tmp_path)
    store = made.stores["camvid/train"]
    with (store.folder / PIXELS).open("r+b") as file:
        file.seek(500)
        file.write(bytes(100))
    with caplog.at_level(logging.WARNING):
        assert job._checked(made) == made.data
    assert "is damaged: image train1 does not have its checksum" in caplog.text
    assert all(store.checked.all() and store.verify() for store in made.stores.values())


def test_tables_and_plans_say_it(tmp_path: Path) -> None:
    """Under the table, by place, and beside the run that is done."""
    runs = [run for run, _ in simulate.runs(simulate.TABLE, simulate.PROFILE).values()]
    for run in runs:
        simulate.write(tmp_path, run, 0, partial={"camvid/train": [6, 367]} if run == runs[0] else {})
    shelf = load_records({"local": tmp_path})
    view = compare(simulate.TABLE, simulate.PROFILE, shelf, Counts({}), places=("local",))
    note = "fewer images than published (local): camvid/train 6 of 367 images"
    assert view.notes == (note,)
    assert note in markdown.render(view)
    request = Request(("table1",), "shapes", 1, None, "", tmp_path)
    first = request.plan(load_records({})).jobs[0].run
    simulate.write(tmp_path / "local", first, 0, partial={"camvid/train": [6, 367]})
    out = Console(file=io.StringIO(), width=300)
    plan.show_plan(out, request, as_json=False)
    assert isinstance(out.file, io.StringIO)
    assert "made with fewer images than published, camvid/train 6 of 367 images" in out.file.getvalue()
