"""Prediction and export: trained records found by key, users' pictures as they are, label maps as the network says."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from repro import models
from repro.cli import predict, receptive_field
from repro.config import dataset_info, profiles
from repro.config.errors import DataError, RecordError, SpecError, VRFError, WeightsError
from repro.config.experiment import Training
from repro.config.networks import GCN, Model
from repro.data import images
from repro.evaluation import trained_model
from repro.results.records import load
from tests.support import simulate
from tests.support.data_files import read_palette

SHAPES = dataset_info.get("shapes")


CLASSES, PALETTE = SHAPES.classes, SHAPES.palette


RUN = profiles.get("shapes").resolve(Training(Model(GCN(7))))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one record and untrained weights, and one record without weights."""
    assert RUN is not None
    root = tmp_path_factory.mktemp("runs")
    folder = simulate.write(root / "local", RUN, 0, classes=list(CLASSES))
    torch.manual_seed(0)
    save_file(models.build(RUN.model, len(CLASSES), head_std=0.5).state_dict(), folder / "weights.safetensors")
    simulate.write(root / "local", RUN, 1, classes=list(CLASSES))
    return root


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Return a picture of noise whose sides the stride does not divide."""
    image = (255 * simulate.noise(3, 70, 50, 3)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "noise.png")
    return tmp_path / "noise.png"


def quiet() -> Console:
    """Return a console that keeps what it is told."""
    return Console(record=True, width=300, file=io.StringIO())


def test_records_are_found_by_key_name_and_seed(runs: Path) -> None:
    """The seed with weights is taken; one without names the command that trains it."""
    assert RUN is not None
    assert trained_model.find(runs, RUN.key).seed == 0
    assert trained_model.find(runs, trained_model.find(runs, RUN.key).name).seed == 0
    with pytest.raises(RecordError, match=r"repro run table1 --profile shapes --seeds 2"):
        trained_model.find(runs, RUN.key, 1)
    with pytest.raises(RecordError, match="known are"):
        trained_model.find(runs, "nothing")
    with pytest.raises(RecordError, match="no record of it, only of 0, 1"):
        trained_model.find(runs, RUN.key, 7)


def test_command_names_a_cut_training(tmp_path: Path) -> None:
    """The command of a record whose training was cut says how short it was."""
    cut = profiles.get("shapes", steps=20).resolve(Training(Model(GCN(7))))
    assert cut is not None
    simulate.write(tmp_path, cut, 0)
    assert "--steps 20" in trained_model.command(load({"local": tmp_path}).records[0])


def test_damaged_weights_are_one_sentence(runs: Path, tmp_path: Path) -> None:
    """Weights that were cut short name their file."""
    assert RUN is not None
    folder = simulate.write(tmp_path / "local", RUN, 0, classes=list(CLASSES))
    whole = (trained_model.find(runs, RUN.key).folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(whole[:1000])
    with pytest.raises(RecordError, match=r"weights\.safetensors: damaged"):
        trained_model.load(trained_model.find(tmp_path, RUN.key))


def test_label_map_is_the_networks(runs: Path, picture: Path, tmp_path: Path) -> None:
    """The files hold the argmax of the network on the normalised picture, computed here step by step."""
    assert RUN is not None
    out = quiet()
    predict.predict_images(out, [picture], RUN.key, None, tmp_path / "out", runs)
    labels = np.asarray(Image.open(tmp_path / "out" / "noise-labels.png"))
    model = trained_model.load(trained_model.find(runs, RUN.key))
    mean, std = (torch.tensor(c)[:, None, None] for c in (SHAPES.mean, SHAPES.std))
    x = (torch.from_numpy(np.asarray(Image.open(picture)).copy()).permute(2, 0, 1) / 255 - mean) / std
    frame = torch.zeros(1, 3, 96, 96)
    frame[0, :, :70, :50] = x
    with torch.no_grad():
        logits = model.net(frame)[0, :, :70, :50]
    best = logits.sort(0).values
    sure = (best[-1] - best[-2] > 1e-4).numpy()
    assert labels.shape == (70, 50)
    assert sure.mean() > 0.99
    assert np.array_equal(labels[sure], logits.argmax(0).numpy()[sure])
    assert read_palette(tmp_path / "out" / "noise-labels.png")[: len(PALETTE)] == PALETTE
    tree = json.loads((tmp_path / "out" / "noise-legend.json").read_text())
    assert sum(entry["pixels"] for entry in tree["classes"]) == 70 * 50
    assert {entry["name"]: entry["pixels"] for entry in tree["classes"]} == {
        CLASSES[i]: int((labels == i).sum()) for i in np.unique(labels)
    }
    assert "100.0%" in out.export_text() or len(tree["classes"]) > 1


def test_a_network_is_loaded_where_it_is_wanted(runs: Path) -> None:
    """Its weights, what it reads and what predicts lie on one device; float32 by default on the CPU."""
    assert RUN is not None
    image = np.zeros((40, 50, 3), np.uint8)
    for device in (torch.device("cpu"), torch.device("meta")):
        model = trained_model.load(trained_model.find(runs, RUN.key), device)
        kinds = {(value.device, value.dtype) for value in model.net.parameters()}
        assert kinds == {(device, torch.float32)}
        assert model.read(image).device == model.predictor.device == model.for_pictures.device == device
        assert model.read(image).shape == (3, 40, 50)
    assert trained_model.load(trained_model.find(runs, RUN.key)).device.type == "cpu"


def test_two_pictures_of_one_name_are_refused(runs: Path, tmp_path: Path) -> None:
    """Their files would overwrite each other."""
    with pytest.raises(DataError, match="two pictures"):
        predict.predict_images(quiet(), [Path("a/x.png"), Path("b/x.jpg")], "any", None, tmp_path, runs)


@pytest.mark.parametrize("fault", ["missing", "text", "cut"])
def test_unreadable_picture_is_one_sentence(fault: str, picture: Path, tmp_path: Path) -> None:
    """The sentence names the path."""
    path = tmp_path / "bad.png"
    if fault == "text":
        path.write_text("no picture")
    if fault == "cut":
        path.write_bytes(picture.read_bytes()[:500])
    with pytest.raises(DataError, match=r"bad\.png: cannot be read"):
        images.read_picture(path)


def test_export_is_half_precision_with_its_origin(runs: Path, tmp_path: Path) -> None:
    """Tensors are those of the record in float16, whole numbers stay, the metadata names key and classes."""
    assert RUN is not None
    file = tmp_path / "weights.safetensors"
    with pytest.raises(SpecError, match=r"ends in \.safetensors"):
        predict.export_weights(quiet(), RUN.key, None, file.with_suffix(".pth"), runs)
    predict.export_weights(quiet(), RUN.key, None, file, runs)
    whole, half = load_file(trained_model.find(runs, RUN.key).folder / "weights.safetensors"), load_file(file)
    assert whole.keys() == half.keys()
    for name, tensor in whole.items():
        assert half[name].dtype == (torch.float16 if tensor.is_floating_point() else tensor.dtype)
        assert torch.equal(half[name], tensor.to(half[name].dtype))
    with safe_open(file, "pt") as opened:
        meta: Any = opened.metadata()
    assert (meta["key"], json.loads(meta["classes"])) == (RUN.key, list(CLASSES))


def test_value_beyond_half_precision_stays_whole() -> None:
    """A tensor that would overflow is kept in float32."""
    assert predict._half(torch.tensor([1e6])).dtype == torch.float32
    assert predict._half(torch.tensor([1.0])).dtype == torch.float16


def test_field_of_a_position(runs: Path, picture: Path, tmp_path: Path) -> None:
    """The command writes the field of a position and names its area."""
    assert RUN is not None
    request = receptive_field.FieldRequest(picture, RUN.key, "10,20", 25, 11, 0.2, None, tmp_path / "out", runs)
    out = quiet()
    receptive_field.show_field(out, request)
    tree = json.loads((tmp_path / "out" / f"noise-{RUN.key}.json").read_text())
    assert tree["panels"][0]["at"] == [10, 20]
    assert f"{tree['panels'][0]['area']:,.0f} pixels" in out.export_text()
    with pytest.raises(VRFError, match="outside"):
        receptive_field.show_field(quiet(), replace(request, at="50,20"))
    with pytest.raises(SpecError, match="two whole numbers"):
        receptive_field.show_field(quiet(), replace(request, at="here"))
    with pytest.raises(SpecError, match="--occluder 10: needs an odd number"):
        receptive_field.show_field(quiet(), replace(request, occluder=10))


@pytest.mark.parametrize(("side", "says"), [(8, "8 x 8 is smaller than the occluder"), (12, "")])
def test_field_of_a_small_picture(side: int, says: str, runs: Path, tmp_path: Path) -> None:
    """A picture that the occluder does not fit is refused; one smaller than the network's stride is measured."""
    assert RUN is not None
    Image.fromarray((255 * simulate.noise(5, side, side, 3)).astype(np.uint8)).save(tmp_path / "small.png")
    request = receptive_field.FieldRequest(
        tmp_path / "small.png", RUN.key, "", 1, 11, 0.2, None, tmp_path / "out", runs
    )
    if says:
        with pytest.raises(VRFError, match=says):
            receptive_field.show_field(quiet(), request)
        return
    receptive_field.show_field(quiet(), request)
    tree = json.loads((tmp_path / "out" / f"small-{RUN.key}.json").read_text())
    assert tree["panels"][0]["at"] == [6, 6]


def test_weights_that_are_not_finite_are_one_sentence(runs: Path, tmp_path: Path) -> None:
    """A picture is not segmented by values that are no numbers; the sentence names the tensor."""
    assert RUN is not None
    folder = simulate.write(tmp_path / "local", RUN, 0, classes=list(CLASSES))
    whole = load_file(trained_model.find(runs, RUN.key).folder / "weights.safetensors")
    whole["backbone.layer1.0.conv1.weight"][0, 0, 0, 0] = float("nan")
    save_file(whole, folder / "weights.safetensors")
    with pytest.raises(WeightsError, match=r"not finite in backbone\.layer1\.0\.conv1\.weight; train them with: repro"):
        trained_model.load(trained_model.find(tmp_path, RUN.key))
