"""`repro predict` and `repro export`: label maps of a user's own pictures, and weights to carry elsewhere."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table as Grid
from safetensors.torch import save

from repro.cli import options
from repro.cli.options import PATH, out
from repro.config.errors import DataError, SpecError
from repro.config.io import atomic_write
from repro.data.dataset import Bytes
from repro.data.images import overlay, read_picture
from repro.data.palette import write_palette_png
from repro.evaluation import trained_model
from repro.evaluation.trained_model import Trained
from repro.results import exported
from repro.training.distributed import device_of


@click.command()
@click.argument("images", nargs=-1, required=True, type=PATH, metavar="IMAGE...")
@options.key
@options.seed
@options.folder("predictions")
@options.device
@options.runs
def predict(*, images: tuple[Path, ...], key: str, seed: int | None, target: Path, device: str, runs: Path) -> None:
    """Segment pictures of your own with a trained record: label map, overlay and legend of each."""
    predict_images(out, list(images), key, seed, target, runs, device)


@click.command()
@options.key
@click.option("--out", "target", type=PATH, required=True, help="file to write, .safetensors")
@options.seed
@options.runs
def export(*, key: str, target: Path, seed: int | None, runs: Path) -> None:
    """Write the weights of a trained record as float16 safetensors."""
    export_weights(out, key, seed, target, runs)


@dataclass(frozen=True)
class Share:
    """How much of a picture one class takes."""

    label: int
    name: str
    colour: tuple[int, int, int]
    pixels: int
    share: float


def predict_images(
    out: Console, images: Sequence[Path], key: str, seed: int | None, folder: Path, runs: Path, device: str = "auto"
) -> None:
    """Write for each picture its label map, the overlay and the legend; print the legends.

    Raises:
        RecordError: there is no such record, or its weights are not here.
        DataError: a picture cannot be read, or two have one name.
        SpecError: there is no CUDA device.
    """
    _distinct(images)
    chosen = device_of(device)
    model = trained_model.load(trained_model.find(runs, key, seed), chosen)
    predictor = model.for_pictures
    shrunk = "" if model.reduction == 1 else f", pictures scaled by {model.reduction:g} as in training"
    out.print(f"network: {model.record.name}{shrunk}", style="dim", soft_wrap=True)
    for path in images:
        image = read_picture(path)
        labels = predictor.labels([image])[0]
        shares = legend(labels, model)
        for written in _write(folder, path.stem, image, labels, model, shares):
            out.print(f"written: {written}", soft_wrap=True)
        out.print(_table(path, shares))


def _distinct(images: Sequence[Path]) -> None:
    twice = [stem for stem, count in Counter(path.stem for path in images).items() if count > 1]
    if twice:
        raise DataError(f"{twice[0]}: two pictures have this name, and their files would be one; run them separately")


def legend(labels: Bytes, model: Trained) -> list[Share]:
    """Return the classes that occur in a label map (h, w), the largest first."""
    counts = np.bincount(labels.reshape(-1), minlength=len(model.classes))
    found = [
        Share(i, name, model.palette[i], int(counts[i]), float(counts[i] / labels.size))
        for i, name in enumerate(model.classes)
        if counts[i]
    ]
    return sorted(found, key=lambda share: -share.pixels)


def _write(folder: Path, stem: str, image: Bytes, labels: Bytes, model: Trained, shares: Sequence[Share]) -> list[Path]:
    paths = [folder / f"{stem}{ending}" for ending in ("-labels.png", "-overlay.png", "-legend.json")]
    tree = {"record": model.record.name, "size": list(labels.shape), "classes": [vars(share) for share in shares]}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_palette_png(labels, paths[0], model.palette)
        drawn = io.BytesIO()
        Image.fromarray(overlay(image, labels, model.palette)).save(drawn, format="PNG")
        atomic_write(paths[1], drawn.getvalue())
        atomic_write(paths[2], json.dumps(tree, indent=1) + "\n")
    except OSError as error:
        why = error.strerror or error
        raise DataError(f"{folder}: predictions cannot be written ({why}); choose another --out") from error
    return paths


def _table(path: Path, shares: Sequence[Share]) -> Grid:
    grid = Grid("", "class", "pixels", "share", box=None, padding=(0, 2, 0, 0), title=str(path), title_justify="left")
    for share in shares:
        swatch = "[on rgb({},{},{})]  [/]".format(*share.colour)
        grid.add_row(swatch, share.name, f"{share.pixels:,}", f"{share.share:.1%}")
    return grid


def export_weights(out: Console, key: str, seed: int | None, file: Path, runs: Path) -> None:
    """Write a record's weights in float16, with what they are in the file's metadata.

    A tensor that float16 cannot hold (a value above 65,504) stays float32.

    Raises:
        RecordError: there is no such record, or its weights are not here.
        SpecError: the file has another ending, or cannot be written.
    """
    if file.suffix != ".safetensors":
        raise SpecError(f"--out {file}: the weights are written as safetensors; give a name that ends in .safetensors")
    record = trained_model.find(runs, key, seed)
    source = record.weights()
    tensors = {name: _half(tensor) for name, tensor in trained_model.tensors(record).items()}
    meta = record.meta
    described = {name: str(meta.get(name, "")) for name in ("key", "seed", "profile", "slug", "recipe", "git_commit")}
    described |= {"spec": json.dumps(meta["spec"]), "classes": json.dumps(meta.get("classes", [])), "format": "pt"}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(file, exported.signed(save(tensors), described, exported.first_source(source)))
    except OSError as error:
        raise SpecError(f"{file}: cannot be written ({error.strerror or error}); choose another --out") from error
    out.print(f"written: {file} ({file.stat().st_size / 1e6:.1f} MB, {record.name})", soft_wrap=True)


def _half(tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return half if bool(torch.isfinite(half).all()) else tensor.float()
