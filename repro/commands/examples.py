"""What Figure 6 shows: images chosen by a rule, and the label maps of three trained networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro import data, metrics
from repro.commands import trained
from repro.commands.gathering import Material
from repro.commands.pictures import VOID, coloured
from repro.commands.trained import Trained
from repro.data.dataset import IGNORE_INDEX
from repro.fabric import device_of
from repro.machine import from_environment
from repro.records import Record
from repro.render.figures import figure6
from repro.render.figures.blueprint import FigureError

PERCENTILES = (50, 75, 90)
COLUMNS = ("image", "baseline", "GCN", "GCN+BR", "truth")
Floats = NDArray[np.float64]


def with_weights(material: Material) -> list[Record]:
    """Return one record of each training, all of the lowest seed whose weights are on this machine.

    Raises:
        FigureError: there is no such seed; the sentence names a command that trains what is missing.
    """
    by_seed = [{record.seed: record for record in part.records} for part in material.shown]
    common = sorted(set.intersection(*(set(found) for found in by_seed)))
    missing: Record | None = None
    for seed in common:
        records = [(found[seed], with_its_weights(material, found[seed])) for found in by_seed]
        missing = next((record for record, held in records if held is None), None)
        if missing is None:
            return [held for _, held in records if held is not None]
    if missing is None:
        raise FigureError(f"{material.figure.name}: its networks were trained with different seeds; run them again")
    raise FigureError(
        f"{material.figure.name}: the weights of {missing.name} are not on this machine; train them with: "
        f"{trained.command(missing)}"
    )


def with_its_weights(material: Material, record: Record) -> Record | None:
    """Return the record of the same training and seed that has weights, whichever place it lies in."""
    same = (record, *(r for r in material.evidence.shelf.of(record.key) if r.seed == record.seed))
    return next((r for r in same if (r.folder / trained.FILE).is_file()), None)


def examples(material: Material, data_root: Path | None, device: str = "cpu") -> figure6.Examples:
    """Return the rows of Figure 6.

    The rule: the images at the 50th, 75th and 90th percentile of what GCN + BR gains over the baseline in the image's
    own mean IoU.
    """
    models = [trained.load(record, device_of(device)) for record in with_weights(material)]
    scores = [image_iou(material.evidence.counts(model.record)["classes"]) for model in models]
    chosen = at_percentiles(scores[-1] - scores[0])
    test = models[0].run.test
    dataset = data.load(test.dataset, test.split, from_environment(data_root, None)[0])
    rows, seen = [], set()
    for percentile, i in zip(PERCENTILES, chosen, strict=True):
        image, truth = dataset.read(i)
        labels = [model.predictor.labels([np.ascontiguousarray(image)])[0] for model in models]
        pictures = (image, *(coloured(m, models[0].palette) for m in (*labels, truth)))
        seen |= {int(value) for m in (*labels, truth) for value in np.unique(m)}
        iou = tuple(float(100 * score[i]) for score in scores)
        rows.append(figure6.Example(dataset.ids[i], percentile, iou, pictures))
    return figure6.Examples(
        profile=material.profile.name,
        place=material.place,
        seed=models[0].record.seed,
        rule="50th, 75th and 90th percentile of the gain of GCN + BR over the baseline in the image's IoU",
        columns=COLUMNS,
        rows=tuple(rows),
        legend=legend(seen, models[0]),
    )


def legend(labels: set[int], model: Trained) -> tuple[tuple[str, tuple[int, int, int]], ...]:
    """Return names and colours of the classes that occur, void last."""
    found = [(name, model.palette[i]) for i, name in enumerate(model.classes) if i in labels]
    return (*found, ("void", VOID)) if IGNORE_INDEX in labels else tuple(found)


def image_iou(counts: NDArray[np.int64]) -> Floats:
    """Return each image's own mean IoU from the counts (n, c, 3), over the classes that are in it or predicted."""
    return np.array([metrics.miou(image[None]) for image in counts])


def at_percentiles(gains: Floats) -> list[int]:
    """Return the image at each percentile of some gains, ties and nan resolved by the images' order."""
    order = np.argsort(np.where(np.isnan(gains), -np.inf, gains), kind="stable")
    order = order[int(np.isnan(gains).sum()) :]
    return [int(order[round(percentile / 100 * (len(order) - 1))]) for percentile in PERCENTILES]
