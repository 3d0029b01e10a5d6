"""Areas of valid receptive fields: the rule, what is stored, the plot of it, and what is said where something lacks."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from repro import data, models
from repro.cli import receptive_field
from repro.cli.figure import show
from repro.cli.options import Request
from repro.config import profiles
from repro.config.errors import FigureError, RecordError, SpecError
from repro.config.experiment import Training
from repro.config.networks import GCN, Model
from repro.data.dataset import Dataset
from repro.evaluation import receptive_field as vrf
from repro.evaluation import trained_model
from repro.evaluation.receptive_field.positions import choose
from repro.figures import all_figures, build, field_area, inputs
from repro.paper.tables import all_tables
from repro.results import field_areas
from repro.results.field_areas import FILE, Areas, Field, Settings
from tests.support import simulate

CLASSES = ("background", "a", "b", "c", "d", "e")
QUICK = Settings(images=2, smallest=300, occluder=21, stride=25)
TABLE = {1: all_tables()[1]}


def read(i: int) -> Any:
    """Return noise with a square of class 2 in it: 10, 20, 30, .. pixels wide."""
    labels = np.zeros((96, 96), np.uint8)
    side = 10 * (i + 1)
    labels[3 : 3 + side, 5 : 5 + side] = 2
    return (255 * simulate.noise(i, 96, 96, 3)).astype(np.uint8), labels


SET = Dataset("tiny", "val", CLASSES, (), ("p", "q", "r"), read)


def weighted(root: Path, model: Model, seed: int = 0) -> Path:
    """Write a record with untrained weights."""
    run = profiles.get("shapes").resolve(Training(model))
    assert run is not None
    folder = simulate.write(root / "local", run, seed, classes=list(CLASSES))
    torch.manual_seed(seed)
    save_file(models.build(run.model, len(CLASSES), head_std=0.5).state_dict(), folder / "weights.safetensors")
    return folder


def request(runs: Path, **words: Any) -> Request:
    """Return what a user would have typed for Table 1."""
    return Request(
        **{"tables": ("1",), "profile": "shapes", "seeds": 1, "steps": None, "recipe": "", "runs": runs, **words}
    )


def test_the_rule() -> None:
    """Images with too small an object are passed over; the position is the inmost pixel of the largest one."""
    spots = tuple(choose(SET, QUICK))
    assert [(s.name, s.at, s.label, s.object_area) for s in spots] == [("q", (14, 12), 2, 400), ("r", (19, 17), 2, 900)]
    with pytest.raises(SpecError, match="2 images have an object of 300 pixels or more, not 3"):
        tuple(choose(SET, replace(QUICK, images=3)))


def test_what_is_measured_is_the_exact_field(tmp_path: Path) -> None:
    """Each area is that of the occlusion map of the true class; stored and read back it is the same."""
    folder = weighted(tmp_path, Model(GCN(3)))
    model = trained_model.load(trained_model.find(tmp_path, folder.name))
    spots = tuple(choose(SET, QUICK))
    found = receptive_field.measure_areas(model, spots, QUICK)
    x = model.normalise(torch.from_numpy(spots[0].image).permute(2, 0, 1)[None])[0]
    field = vrf.occlusion_map(model.net, x.contiguous(), (14, 12), occluder=21, stride=25, class_index=2)
    assert found.fields[0] == Field("q", (14, 12), 2, 400, vrf.area(field, 0.2))
    assert (found.size, found.object_area, found.settings) == ((96, 96), 650, QUICK)
    field_areas.write(folder, found)
    assert field_areas.read(folder) == found


def test_measures_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored with the same settings is not measured again; other settings, or ``--again``, are."""
    folder = weighted(tmp_path, Model(GCN(3)))
    run = profiles.get("shapes").resolve(Training(Model(GCN(3))))
    monkeypatch.setattr(receptive_field, "_runs", lambda _: [run])
    monkeypatch.setattr(data, "load", lambda *_: SET)
    said = []
    for settings, again in ((QUICK, False), (QUICK, False), (QUICK, True), (replace(QUICK, images=1), False)):
        out = Console(record=True, width=400, file=io.StringIO())
        receptive_field.show_areas(out, request(tmp_path), settings, again=again)
        said.append("stored before" in out.export_text())
    assert said == [False, True, False, False]
    stored = field_areas.read(folder)
    assert stored is not None
    assert stored.settings.images == 1


def test_records_without_weights_name_the_command(tmp_path: Path) -> None:
    """Nothing is measured where a record or its weights are missing."""
    out = Console(file=io.StringIO())
    with pytest.raises(RecordError, match="no record has this key"):
        receptive_field.show_areas(out, request(tmp_path), QUICK)
    simulate.fill(tmp_path / "local", TABLE, lambda *_: 0.5, seeds=1)
    with pytest.raises(RecordError, match="train them with: repro run table1 --profile shapes"):
        receptive_field.show_areas(out, request(tmp_path), QUICK)
    with pytest.raises(SpecError, match="no segmentation network"):
        receptive_field.show_areas(out, request(tmp_path, tables=("11",)), QUICK)


def stored(root: Path, seeds: int = 2) -> list[Path]:
    """Make records of Table 1 whose areas grow with k, and by seed."""
    simulate.fill(root / "reference", TABLE, lambda *_: 0.5, seeds=seeds)
    folders = []
    for run, order in simulate.runs(TABLE[1], profiles.get("shapes")).values():
        for seed in range(seeds):
            folder = root / "reference" / f"{run.slug}-{run.key}-s{seed}"
            fields = (Field("q", (15, 13), 2, 400, 100.0 * order + seed), Field("r", (20, 18), 2, 900, 100.0 * order))
            field_areas.write(folder, Areas(folder.name, QUICK, (96, 96), fields))
            folders.append(folder)
    return folders


def curve(root: Path) -> Any:
    """Return what the plot shows."""
    evidence = build.Request((), runs=root).evidence()
    material = inputs.gather(all_figures()["field_area"], profiles.get("shapes"), evidence, ("reference",))
    return field_area.compute(material)


def test_the_plot_shows_what_is_stored(tmp_path: Path) -> None:
    """Means over images by k and seed, the objects' mean, and Spearman's correlation with its p-value."""
    stored(tmp_path)
    shown = curve(tmp_path)
    assert [point.k for point in shown.points] == [1, 3, 5, 7, 9, 11, 13, 15]
    assert shown.points[2].areas == (200.0, 200.5)
    assert shown.object_area == 650
    assert shown.rank == pytest.approx(math.sqrt(336 / 340))  # two seeds tie in k, none in area
    assert 0 <= shown.p_value < 1e-10
    assert shown.rank_by_seed == pytest.approx((1.0, 1.0))
    out = Console(record=True, width=400, file=io.StringIO())
    assert show(out, build.Request(("field_area",), runs=tmp_path, out=tmp_path / "out")) == 0
    tree = json.loads((tmp_path / "out" / "field_area.json").read_text(encoding="utf-8"))
    assert tree["shown"]["rule"] == QUICK.rule
    assert len(tree["runs"]) == 16


def test_what_lacks_is_one_sentence(tmp_path: Path) -> None:
    """No areas, areas of two ways of measuring, a damaged file: each names the command."""
    folders = stored(tmp_path)
    found = field_areas.read(folders[3])
    assert found is not None
    field_areas.write(folders[3], replace(found, settings=Settings()))
    with pytest.raises(
        FigureError, match=r"measured in 2 ways; .*repro vrf-area table1 --profile shapes --seeds 2 --again"
    ):
        curve(tmp_path)
    (folders[3] / FILE).unlink()
    with pytest.raises(FigureError, match=rf"{folders[3].name} has no areas; .*repro vrf-area table1"):
        curve(tmp_path)
    (folders[3] / FILE).write_text('{"record": "x"}', encoding="utf-8")
    with pytest.raises(RecordError, match="unreadable"):
        curve(tmp_path)
