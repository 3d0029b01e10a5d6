"""`repro crf-grid`: dense CRF parameters on training images, best first."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table as Grid

from repro import data
from repro.cli import options
from repro.cli.options import out
from repro.config.experiment import CRF, MULTI_SCALE, Evaluation
from repro.config.machine import cores
from repro.data.dataset import Bytes, Dataset
from repro.evaluation import crf, trained_model
from repro.evaluation.confusion import class_counts
from repro.evaluation.predictor import Predictor, frame_of
from repro.evaluation.trained_model import Trained
from repro.formatting import many
from repro.results import metrics


@click.command("crf-grid")
@options.key
@click.option("--images", type=options.POSITIVE, default=64, show_default=True, help="how many training images")
@options.data_root
@options.runs
@options.as_json
def crf_grid(*, key: str, images: int, data_root: Path | None, runs: Path, as_json: bool) -> None:
    """Try dense CRF parameters on training images of a trained network, best first."""
    show(out, key, images, data_root, runs, as_json=as_json)


POSITION = ((3.0, 1.0), (3.0, 3.0))
"""Weight and deviation (pixels) of the smoothness kernel."""
BILATERAL_W, BILATERAL_SD, COLOUR_SD = (1.0, 3.0, 10.0), (10.0, 30.0, 80.0), (3.0, 13.0, 30.0)
Map = NDArray[np.float32]


@dataclass(frozen=True)
class Tried:
    """One set of parameters (None: no CRF) and its mean IoU on the images, a fraction."""

    crf: CRF | None
    miou: float


def grid() -> Iterator[CRF]:
    """Yield every set of parameters that is tried: pydensecrf's own example among them."""
    for position, w, sd, colour in itertools.product(POSITION, BILATERAL_W, BILATERAL_SD, COLOUR_SD):
        yield CRF(
            position_w=position[0], position_sd=position[1], bilateral_w=w, bilateral_sd=sd, bilateral_color_sd=colour
        )


def show(out: Console, key: str, images: int, data_root: Path | None, runs: Path, *, as_json: bool) -> None:
    """Print the parameters by their score on the last training split of a network, best first.

    Raises:
        RecordError: there is no such record, or its weights are not here.
    """
    model = trained_model.load(trained_model.find(runs, key))
    source = model.run.train[-1]
    dataset = data.load(source.dataset, source.split, data_root)
    found = search(model, dataset, images, quiet=as_json)
    if as_json:
        out.print_json(json.dumps([{"crf": asdict(t.crf) if t.crf else None, "miou": t.miou} for t in found]))
        return
    count = min(images, len(dataset))
    out.print(
        f"{model.record.name} on {many(count, 'image')} of {source.dataset}/{source.split}, multi-scale and mirrored"
    )
    lines = Grid("mIoU", "position w, sd", "bilateral w, sd, colour sd", box=None, padding=(0, 2, 0, 0))
    for tried in found:
        c = tried.crf
        words = ("no CRF", "") if c is None else (f"{c.position_w:g}, {c.position_sd:g}",
                 f"{c.bilateral_w:g}, {c.bilateral_sd:g}, {c.bilateral_color_sd:g}")  # fmt: skip
        lines.add_row(f"{100 * tried.miou:.2f}", *words)
    out.print(lines)


def search(model: Trained, dataset: Dataset, images: int, *, quiet: bool = True) -> list[Tried]:
    """Return every set of parameters, and none, by its mean IoU over the first images, best first."""
    chosen = [dataset.read(i) for i in range(min(images, len(dataset)))]
    maps = [probabilities(model, image) for image, _ in chosen]
    plain = [np.asarray(p.argmax(0), np.uint8) for p in maps]
    found = [Tried(None, _miou(plain, [labels for _, labels in chosen], len(model.classes)))]
    pairs = [(p, np.ascontiguousarray(image)) for p, (image, _) in zip(maps, chosen, strict=True)]
    settings = list(grid())
    # One pool for all settings: starting a worker takes longer than refining a small image.
    refined = crf.refine_each(((pair, setting) for setting in settings for pair in pairs), cores())
    for setting in track(settings, "trying", disable=quiet, transient=True):
        few = list(itertools.islice(refined, len(pairs)))
        found.append(Tried(setting, _miou(few, [labels for _, labels in chosen], len(model.classes))))
    return sorted(found, key=lambda tried: -tried.miou)


def probabilities(model: Trained, image: Bytes) -> Map:
    """Return the mean softmax (c, h, w) over scales and mirrors, and over squares where training took random crops."""
    source = model.run.train[-1]
    crops = -(-max(image.shape[:2]) // min(image.shape[:2])) * 2 if source.crop else 0
    evaluation = Evaluation(scales=MULTI_SCALE, flip=True, crops=crops)
    predictor = replace(model.predictor, evaluation=evaluation, frame=(0, 0) if crops else frame_of(source))
    x = predictor.normalise(torch.from_numpy(np.array(image))[None].permute(0, 3, 1, 2))
    found: Map = Predictor.probabilities(predictor, x.contiguous())[0].float().numpy()
    return found


def _miou(pred: list[Bytes], labels: list[Bytes], classes: int) -> float:
    counts = np.stack([class_counts(y, p, classes) for y, p in zip(labels, pred, strict=True)])
    return metrics.score("miou", {"classes": counts})
