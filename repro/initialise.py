"""The network as a run starts: seeded, then filled from an ImageNet file, an earlier stage, or nothing."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from repro import models
from repro.errors import WorkError
from repro.experiment import Run
from repro.records import Record
from repro.spec import Classifier


def network(run: Run, seed: int, classes: int, weights: Path | None, parent: Record | None) -> nn.Module:
    """Return the network of a run as it starts.

    Args:
        run: what is trained, or whose weights are evaluated.
        seed: of the initialisation.
        classes: how many the data set has.
        weights: the file of ImageNet weights; read only where the run starts from it.
        parent: the record whose weights the run begins with.

    Raises:
        WorkError: the parent tells another number of classes apart.
        RecordError: the parent's weights are not those that its run wrote.
    """
    torch.manual_seed(seed)
    net = models.build(run.model, classes, head_std=run.recipe.head_std)
    if parent is not None:
        part = "backbone." if _takes_backbone(run) else ""
        if not part:
            _refuse_other_classes(run, classes, parent)
        models.inherit(net, parent.weights(), part)
    elif weights is not None and run.from_file:
        models.load_backbone(net.backbone, weights)
    if run.recipe.frozen_bn:
        models.freeze_bn(net.backbone)
    return net


def _takes_backbone(run: Run) -> bool:
    """Say whether a segmentation network is to be trained from a classifier's weights (Table 6)."""
    starts_from = run.start.model if run.trained() == run and isinstance(run.start, Run) else None
    return isinstance(starts_from, Classifier) and not isinstance(run.model, Classifier)


def _refuse_other_classes(run: Run, classes: int, parent: Record) -> None:
    """Raise ``WorkError`` where the checkpoint that this run goes on from tells other classes apart."""
    theirs = len(parent.meta.get("classes", ()))
    if theirs not in {0, classes}:
        raise WorkError(
            f"{run.slug}: starts from {parent.folder}, which has {theirs} classes where this run has {classes}; "
            f"retract it (repro retract {parent.name} --why 'other classes') and run again"
        )
