"""`repro vrf` and `repro vrf-area`: valid receptive fields of trained networks."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from repro import data
from repro.cli import options
from repro.cli.options import PATH, Request, out
from repro.config.errors import SpecError, VRFError
from repro.config.experiment import Run
from repro.config.io import atomic_write
from repro.config.networks import Model
from repro.data.dataset import Bytes
from repro.data.images import read_picture
from repro.evaluation import receptive_field, trained_model
from repro.evaluation.receptive_field.positions import Position, Spot, choose
from repro.evaluation.trained_model import Trained
from repro.figures import figure3, style
from repro.figures.build import plain
from repro.figures.figure3 import measure
from repro.formatting import clock
from repro.paper.tables import seeds_from
from repro.results import field_areas
from repro.results.field_areas import Areas, Field, Settings
from repro.runner.plan import score_cells
from repro.training.distributed import device_of

occlusion = options.chain(
    click.option(
        "--stride", type=options.POSITIVE, default=3, show_default=True, help="distance of neighbouring occluders"
    ),
    click.option("--occluder", type=options.POSITIVE, default=11, show_default=True, help="side of the occluder, odd"),
    click.option(
        "--threshold",
        type=options.SHARE,
        default=0.2,
        show_default=True,
        help="share of the largest change that counts",
    ),
)


@click.command()
@click.argument("image", type=PATH)
@options.key
@click.option("--at", default="", help="position x,y in pixels; the centre where it is left out")
@occlusion
@options.seed
@options.folder("fields")
@options.device
@options.runs
def vrf(*, target: Path, **words: Any) -> None:  # noqa: ANN401 - the fields of FieldRequest
    """Measure the valid receptive field of one position of a picture (Figure 3)."""
    show_field(out, options.make(FieldRequest, words, out=target))


@click.command("vrf-area")
@options.request
@click.option("--images", type=options.POSITIVE, default=16, show_default=True, help="how many test images")
@click.option(
    "--smallest",
    type=options.POSITIVE,
    default=1000,
    show_default=True,
    help="pixels that an image's largest object needs",
)
@occlusion
@click.option("--again", is_flag=True, help="measure stored fields again")
@options.device
def vrf_area(*, again: bool, device: str, **words: Any) -> None:  # noqa: ANN401 - the fields of Request and Settings
    """Measure the areas of valid receptive fields of trained networks, and store them beside their records.

    TABLE is table1, 1, 1,3-5 or all; the weights of each run must be on this machine.
    """
    request, settings = options.make(Request, words), options.make(Settings, words)
    show_areas(out, request, settings, again=again, device=device)


def show_areas(
    out: Console, request: Request, settings: Settings, *, again: bool = False, device: str = "auto"
) -> None:
    """Measure the fields that are not stored with these settings, record by record, and print each area.

    Raises:
        RecordError: a record is missing, or its weights are not on this machine; the sentence names the command.
        SpecError: no table has a segmentation network, or there is no such device.
    """
    chosen = device_of(device)
    runs = _runs(request)
    if not runs:
        raise SpecError(f"{' '.join(request.tables)}: profile {request.profile} has no segmentation network in it")
    records = [trained_model.find(request.runs, run.key, seed) for run in runs for seed in seeds_from(request.seeds)]
    spots: dict[tuple[str, str], tuple[Spot, ...]] = {}
    for record in records:
        stored = field_areas.read(record.folder)
        if stored is not None and stored.settings == settings and stored.record == record.name and not again:
            out.print(f"{record.name}: {_said(stored)} (stored before)", soft_wrap=True)
            continue
        start = time.perf_counter()
        model = trained_model.load(record, chosen)
        test = model.run.test.dataset, model.run.test.split
        if test not in spots:
            spots[test] = tuple(choose(data.load(*test, None), settings))
        found = measure_areas(model, spots[test], settings)
        field_areas.write(record.folder, found)
        out.print(f"{record.name}: {_said(found)} in {clock(time.perf_counter() - start)}", soft_wrap=True)


def _said(found: Areas) -> str:
    share = found.mean / (found.size[0] * found.size[1])
    return f"{found.mean:,.0f} pixels, {share:.1%} of the image, object {found.object_area:,.0f} pixels"


def _runs(request: Request) -> list[Run]:
    """Return the segmentation trainings of the tables, each once, in the order of the cells."""
    cells = score_cells(request.selected, request.resolved).values()
    runs = [run.trained() for run in cells if run is not None and isinstance(run.model, Model)]
    return list({run.key: run for run in runs}.values())


def measure_areas(model: Trained, spots: tuple[Spot, ...], settings: Settings) -> Areas:
    """Return the areas of a network's fields at some spots, by occlusion, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        fields = tuple(_field(model, spot, settings) for spot in spots)
    finally:
        torch.set_num_threads(threads)
    return Areas(model.record.name, settings, spots[0].image.shape[:2], fields)


def _field(model: Trained, spot: Spot, settings: Settings) -> Field:
    found = receptive_field.occlusion_map(
        model.net,
        model.read(spot.image),
        spot.at,
        occluder=settings.occluder,
        stride=settings.stride,
        class_index=spot.label,
    )
    return Field(spot.name, spot.at, spot.label, spot.object_area, receptive_field.area(found, settings.threshold))


LETTERS = 20
"""Of a picture's name in its title."""


@dataclass(frozen=True)
class FieldRequest:
    """A field to measure, as typed."""

    image: Path
    key: str
    at: str
    stride: int
    occluder: int
    threshold: float
    seed: int | None
    out: Path
    runs: Path
    device: str = "auto"


def show_field(out: Console, request: FieldRequest) -> None:
    """Measure one field, write it as PDF, PNG and JSON, say its area.

    Raises:
        SpecError: the position is not two numbers, or there is no such device.
        VRFError: it lies outside the image, or the occluder does not fit.
        DataError: the picture cannot be read.
    """
    device = device_of(request.device)
    image = read_picture(request.image)
    at = position(request.at, image)
    _check(request, image, at)
    model = trained_model.load(trained_model.find(request.runs, request.key, request.seed), device)
    if model.reduction != 1:
        out.print(f"picture and position scaled by {model.reduction:g} as in training", style="dim")
        image, at = reduced(image, at, model.reduction)
    with Progress(console=out, transient=True) as progress:
        task = progress.add_task("occluding", total=1.0)
        panel = measure(
            model, image, at, _short(request.image.name), request.occluder, request.stride, request.threshold,
            told=lambda share: progress.update(task, completed=share),
        )  # fmt: skip
    fields = figure3.Fields("chosen by the user", request.occluder, request.stride, request.threshold, (panel,))
    for path in _write(request.out / f"{request.image.stem}-{model.record.key}", fields, model):
        out.print(f"written: {path}", soft_wrap=True)
    agrees = (
        f"agrees with rank correlation {panel.rank:.2f} and overlap {panel.overlap:.2f}"
        if math.isfinite(panel.rank) and math.isfinite(panel.overlap)
        else "cannot be compared: one of the two is the same everywhere"
    )
    out.print(
        f"field of {at}: {panel.area:,.0f} pixels, {panel.share:.1%} of the image; the gradient's field {agrees}",
        soft_wrap=True,
    )


def _short(name: str) -> str:
    """Return a file's name as it fits over half a column."""
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def _check(request: FieldRequest, image: Bytes, at: Position) -> None:
    """Refuse a position outside the picture and an even occluder, in the picture's own pixels."""
    height, width = image.shape[:2]
    if not (0 <= at[0] < width and 0 <= at[1] < height):
        raise VRFError(
            f"--at {at[0]},{at[1]}: lies outside the image, which has x 0..{width - 1} and y 0..{height - 1}"
        )
    if request.occluder % 2 == 0:
        raise SpecError(f"--occluder {request.occluder}: needs an odd number of pixels, such as 11")


def position(text: str, image: Bytes) -> Position:
    """Return the position (x, y) that a user wrote, by default the image's centre."""
    if not text:
        return image.shape[1] // 2, image.shape[0] // 2
    found = re.fullmatch(r"\s*(-?\d+)\s*,\s*(-?\d+)\s*", text)
    if found is None:
        raise SpecError(f"--at {text}: is no position; give two whole numbers x,y such as 48,30")
    return int(found[1]), int(found[2])


def reduced(image: Bytes, at: Position, factor: float) -> tuple[Bytes, Position]:
    """Scale a picture (h, w, 3) by area and a position in it by a factor below 1."""
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return small, (int(at[0] * factor), int(at[1] * factor))


def _write(stem: Path, fields: figure3.Fields, model: Trained) -> list[Path]:
    try:
        with style.look():
            paths = style.save(figure3.draw(fields), stem)
        tree = {"record": model.record.name, **plain(fields)}
        atomic_write(stem.with_suffix(".json"), json.dumps(tree, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise SpecError(f"{stem}: cannot be written ({error.strerror or error}); choose another --out") from error
    return [*paths, stem.with_suffix(".json")]
