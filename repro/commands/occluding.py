"""`repro vrf-area`: measure the valid receptive fields of trained networks and store their areas beside the records."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from rich.console import Console

from repro import areas, data, vrf
from repro.areas import Areas, Field, Settings
from repro.commands import trained
from repro.commands.planning import Request
from repro.commands.trained import Trained
from repro.commands.viewing import Position, inmost, largest
from repro.data.dataset import Bytes, Dataset
from repro.experiment import Run
from repro.fabric import device_of
from repro.measure import score_cells
from repro.plural import clock
from repro.select import seeds_from
from repro.spec import Model, SpecError


@dataclass(frozen=True)
class Spot:
    """Where a field is measured: an image (h, w, 3), a position (x, y), the object there and its class."""

    name: str
    image: Bytes
    at: Position
    label: int
    object_area: int


def show(out: Console, request: Request, settings: Settings, *, again: bool = False, device: str = "auto") -> None:
    """Measure what is not yet stored with these settings, one record after the other, and say each area.

    Raises:
        RecordError: a record is missing, or its weights are not on this machine; the sentence names the command.
        SpecError: no table has a segmentation network, there is no such device, or a setting that no measurement can
            have.
    """
    _check(settings)
    chosen = device_of(device)
    runs = _runs(request)
    if not runs:
        raise SpecError(f"{' '.join(request.tables)}: profile {request.profile} has no segmentation network in it")
    records = [trained.find(request.runs, run.key, seed) for run in runs for seed in seeds_from(request.seeds)]
    spots: dict[tuple[str, str], tuple[Spot, ...]] = {}
    for record in records:
        stored = areas.read(record.folder)
        if stored is not None and stored.settings == settings and stored.record == record.name and not again:
            out.print(f"{record.name}: {_said(stored)} (stored before)", soft_wrap=True)
            continue
        start = time.perf_counter()
        model = trained.load(record, chosen)
        test = model.run.test.dataset, model.run.test.split
        if test not in spots:
            spots[test] = tuple(choose(data.load(*test, None), settings))
        found = measure(model, spots[test], settings)
        areas.write(record.folder, found)
        out.print(f"{record.name}: {_said(found)} in {clock(time.perf_counter() - start)}", soft_wrap=True)


def _check(settings: Settings) -> None:
    if settings.images < 1 or settings.smallest < 1:
        raise SpecError(f"--images {settings.images} --smallest {settings.smallest}: both must be 1 or more")
    if not 0 < settings.threshold <= 1:
        raise SpecError(f"--threshold {settings.threshold}: needs a share of the largest change, above 0 and up to 1")


def _said(found: Areas) -> str:
    share = found.mean / (found.size[0] * found.size[1])
    return f"{found.mean:,.0f} pixels, {share:.1%} of the image, object {found.object_area:,.0f} pixels"


def _runs(request: Request) -> list[Run]:
    """Return the segmentation trainings of the tables, each once, in the order of the cells."""
    cells = score_cells(request.selected, request.resolved).values()
    runs = [run.trained() for run in cells if run is not None and isinstance(run.model, Model)]
    return list({run.key: run for run in runs}.values())


def choose(dataset: Dataset, settings: Settings) -> Iterator[Spot]:
    """Yield the spots of ``Settings.rule``; raise ``SpecError`` where the data set has too few such images."""
    found = 0
    for i in range(len(dataset)):
        image, labels = dataset.read(i)
        patch = largest(labels)
        if patch is not None and patch.sum() >= settings.smallest:
            x, y = inmost(patch)
            yield Spot(dataset.ids[i], image, (x, y), int(labels[y, x]), int(patch.sum()))
            found += 1
        if found == settings.images:
            return
    raise SpecError(
        f"{dataset.name}/{dataset.split}: {found} images have an object of {settings.smallest} pixels or more, not "
        f"{settings.images}; ask for fewer with --images or smaller ones with --smallest"
    )


def measure(model: Trained, spots: tuple[Spot, ...], settings: Settings) -> Areas:
    """Return the areas of a network's fields at some spots, by occlusion, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        fields = tuple(_field(model, spot, settings) for spot in spots)
    finally:
        torch.set_num_threads(threads)
    return Areas(model.record.name, settings, spots[0].image.shape[:2], fields)


def _field(model: Trained, spot: Spot, settings: Settings) -> Field:
    found = vrf.occlusion_map(
        model.net,
        model.read(spot.image),
        spot.at,
        occluder=settings.occluder,
        stride=settings.stride,
        class_index=spot.label,
    )
    return Field(spot.name, spot.at, spot.label, spot.object_area, vrf.area(found, settings.threshold))
