"""`repro vrf` and Figure 3: valid receptive fields of trained networks on pictures."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from repro import data, vrf
from repro.atomic import atomic_write
from repro.commands import trained
from repro.commands.examples import with_weights
from repro.commands.figuring import plain
from repro.commands.gathering import Material
from repro.commands.pictures import read_picture
from repro.commands.trained import Trained
from repro.data.dataset import Bytes, Dataset
from repro.fabric import device_of
from repro.machine import from_environment
from repro.render.figures import figure3, style
from repro.spec import SpecError

OCCLUDER, STRIDE, THRESHOLD = 11, 3, 0.2
AMONG = 200
"""Images of the test set among which Figure 3 chooses one."""
ENLARGED = 2
LETTERS = 20
"""Of a picture's name in its title."""
Position = tuple[int, int]


@dataclass(frozen=True)
class Request:
    """What the user asked for, as typed."""

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


def show(out: Console, request: Request) -> None:
    """Measure one field, write it as PDF, PNG and JSON, say its area.

    Raises:
        SpecError: the position is not two numbers, the threshold is no share, or there is no such device.
        VRFError: it lies outside the image, or the occluder does not fit.
        DataError: the picture cannot be read.
    """
    device = device_of(request.device)
    image = read_picture(request.image)
    at = position(request.at, image)
    _check(request, image, at)
    model = trained.load(trained.find(request.runs, request.key, request.seed), device)
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


def _check(request: Request, image: Bytes, at: Position) -> None:
    """Refuse what no measurement can have before one begins, in the picture's own pixels."""
    height, width = image.shape[:2]
    if not (0 <= at[0] < width and 0 <= at[1] < height):
        raise vrf.VRFError(
            f"--at {at[0]},{at[1]}: lies outside the image, which has x 0..{width - 1} and y 0..{height - 1}"
        )
    if request.occluder < 1 or request.occluder % 2 == 0:
        raise SpecError(f"--occluder {request.occluder}: needs an odd number of pixels, such as 11")
    if request.stride < 1:
        raise SpecError(f"--stride {request.stride}: needs one pixel or more")
    if not 0 < request.threshold <= 1:
        raise SpecError(f"--threshold {request.threshold}: needs a share of the largest change, above 0 and up to 1")


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


def measure(
    model: Trained, image: Bytes, at: Position, title: str, occluder: int = OCCLUDER, stride: int = STRIDE,
    threshold: float = THRESHOLD, *, object_area: int | None = None, told: Callable[[float], None] | None = None,
) -> figure3.Panel:  # fmt: skip
    """Return the field of one position (x, y) of an image (h, w, 3), with the gradient's field as second opinion."""
    x = model.read(image)
    field = vrf.occlusion_map(model.net, x, at, occluder=occluder, stride=stride, progress=told)
    gradient = vrf.gradient_field(model.net, x, at, field.class_index)
    rank, overlap = vrf.agreement(field, gradient, threshold)
    area = vrf.area(field, threshold)
    return figure3.Panel(
        title=title,
        at=at,
        area=area,
        share=area / (image.shape[0] * image.shape[1]),
        object_area=object_area,
        rank=rank,
        overlap=overlap,
        image=image,
        inside=_inside(field, threshold),
        gradient=_inside(vrf.under_occluders(field, gradient), threshold),
    )


def _inside(field: vrf.VRF, threshold: float) -> NDArray[np.bool_]:
    """Return the pixels (h, w) of a field, those with a share of its largest value."""
    strength = field.pixels()
    return np.asarray((strength >= threshold * strength.max()) & (strength > 0))


def fields(material: Material, data_root: Path | None, device: str = "cpu") -> figure3.Fields:
    """Return the panels of Figure 3: baseline, baseline on the enlarged image, GCN on the enlarged image.

    The grid is as fine on the enlarged image as on the object before: its spacing is enlarged with it.

    The rule: of the first images of the test set, the one whose largest object has the median area; the position is
    the pixel of that object that lies deepest in it.
    """
    baseline, gcn = (trained.load(record, device_of(device)) for record in with_weights(material))
    test = baseline.run.test
    dataset = data.load(test.dataset, test.split, from_environment(data_root, None)[0])
    i, at, area = chosen(dataset)
    image, _ = dataset.read(i)
    large = np.asarray(cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_LINEAR), np.uint8)
    there = at[0] * ENLARGED + ENLARGED // 2, at[1] * ENLARGED + ENLARGED // 2
    name = f"GCN k={getattr(getattr(gcn.run.model, 'head', None), 'k', '?')}"
    panels = (
        measure(baseline, image, at, "baseline", object_area=area),
        *(
            measure(
                model, large, there, f"{title}, {ENLARGED}×", stride=ENLARGED * STRIDE, object_area=area * ENLARGED**2
            )
            for model, title in ((baseline, "baseline"), (gcn, name))
        ),
    )
    rule = (
        f"{dataset.ids[i]}: of the first {AMONG} images the one whose largest object has the median area; inmost pixel"
    )
    return figure3.Fields(rule, OCCLUDER, STRIDE, THRESHOLD, panels)


def chosen(dataset: Dataset) -> tuple[int, Position, int]:
    """Return an image by the rule of ``fields``: its number, the position (x, y), the object's area in pixels."""
    found = []
    for i in range(min(AMONG, len(dataset))):
        patch = largest(dataset.read(i)[1])
        if patch is not None:
            found.append((int(patch.sum()), i, patch))
    if not found:
        raise SpecError(f"{dataset.name}/{dataset.split}: no object in its first images; choose another data set")
    area, i, inside = sorted(found, key=lambda item: item[:2])[(len(found) - 1) // 2]
    return i, inmost(inside), area


def inmost(patch: Bytes) -> Position:
    """Return the pixel (x, y) of a mask (h, w) that lies deepest in it; beyond the image's edge it ends."""
    depth = cv2.distanceTransform(np.pad(patch, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)


def largest(labels: Bytes) -> Bytes | None:
    """Return the largest connected object (not background, not void) as a mask (h, w), or None where there is none."""
    best: Bytes | None = None
    for value in np.unique(labels):
        if value not in {0, data.IGNORE_INDEX}:
            _, patches, stats, _ = cv2.connectedComponentsWithStats((labels == value).astype(np.uint8), connectivity=8)
            n = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
            patch = np.asarray(patches == n, np.uint8)
            best = patch if best is None or patch.sum() > best.sum() else best
    return best
