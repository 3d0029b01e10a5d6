"""Accuracy by the size of the object: from a record's counts, or by its weights where it is too old to hold them."""

from __future__ import annotations

from pathlib import Path

from repro import data
from repro.commands import curves, trained
from repro.commands.examples import with_its_weights
from repro.commands.gathering import Material
from repro.evaluate import background_of, evaluate_images
from repro.fabric import device_of
from repro.machine import from_environment
from repro.records import Record
from repro.render.figures import size_profile
from repro.render.figures.blueprint import FigureError

LEEWAY = 1e-3
"""Share of the labelled pixels by which another machine's rounding may move the right ones."""


def sizes(material: Material, data_root: Path | None, device: str = "cpu") -> size_profile.SizeProfile:
    """Return what the figure shows; records without sizes are evaluated once more with their weights.

    Raises:
        FigureError: a record has neither sizes nor weights here, or its weights now give other counts.
    """

    def counts(record: Record) -> curves.Ints:
        stored = material.evidence.counts(record)
        return stored["size"] if "size" in stored else _measured(material, record, data_root, device)

    return curves.sizes(material, counts)


def _measured(material: Material, record: Record, data_root: Path | None, device: str) -> curves.Ints:
    """Evaluate a record's weights on its test images, (n, 21, 2)."""
    found = with_its_weights(material, record)
    if found is None:
        raise FigureError(
            f"{material.figure.name}: {record.name} is older than the counts by size, and its weights are not on this "
            f"machine; train them with: {trained.command(record)}"
        )
    model = trained.load(found, device_of(device))
    test = model.run.test
    dataset = data.load(test.dataset, test.split, from_environment(data_root, None)[0])
    items = ((i, *dataset.read(i)) for i in range(len(dataset)))
    counts = evaluate_images(model.predictor, items, len(model.classes), background=background_of(model.classes))
    stored, now = (float(c[..., 0].sum()) for c in (material.evidence.counts(record)["classes"], counts["classes"]))
    if abs(now - stored) > LEEWAY * counts["classes"][..., 2].sum():
        raise FigureError(
            f"{material.figure.name}: {found.folder} gives {now:,.0f} right pixels and its record says {stored:,.0f}; "
            "its weights are of another training, restore them"
        )
    return counts["size"]
