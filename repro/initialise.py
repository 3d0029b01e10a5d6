"""The network as a run starts: seeded, then filled from an ImageNet file, an earlier stage, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from repro import models
from repro.errors import WorkError
from repro.experiment import Run
from repro.models import placing
from repro.models.resnet import ResNet
from repro.models.weights import read_header
from repro.records import Record
from repro.spec import Classifier

PLACES = {"conv1": "conv1 (He et al.)", "conv2": "conv2 (torchvision's)"}


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


@dataclass(frozen=True)
class Stride:
    """Which convolution of a bottleneck carries the stride in a file of weights, and who says so."""

    stride_in: str
    source: str
    """``file`` (its metadata), ``option`` (``--stride-in``), ``measured`` (its statistics), or ``assumed``."""
    remarks: tuple[str, ...] = ()
    """Sentences for the user."""

    def __str__(self) -> str:
        """Return it as a record holds it."""
        return f"{self.stride_in}, {self.source}"


def stride_of(run: Run, net: nn.Module, weights: Path, said: str | None, pictures: Callable[[], Tensor]) -> Stride:
    """Return where the stride lies in the file that a network was filled from.

    Args:
        run: whose network it is.
        net: filled from ``weights``, on the CPU.
        weights: the file of ImageNet weights.
        said: what the user says of the file, ``conv1`` or ``conv2``; None: nothing.
        pictures: returns a few normalised training pictures (n, 3, h, w); called only where nobody says it.

    Raises:
        WorkError: the file says another placing than the user, or one that this network does not have: the same
            shapes, and features of another network.
    """
    header, network = read_header(weights), run.model.stride_in
    taken = f"{weights.name}: the prefix {header.prefix!r} of its keys was taken off" if header.prefix else ""
    remarks = (taken,) * bool(taken)
    if header.stride_in:
        _refuse_other_stride(weights, header.stride_in, "its metadata says stride_in", said, network)
        return Stride(header.stride_in, "file", remarks)
    if said:
        return Stride(said, "option", remarks)
    backbone = net.get_submodule("backbone")
    assert isinstance(backbone, ResNet)
    found = placing.told(placing.distances(backbone, pictures()))
    if found:
        _refuse_other_stride(weights, found, "the variances of its batch norms are those of a stride in", None, network)
        return Stride(found, "measured", remarks)
    assumed = (
        f"{weights.name}: assumed to have the stride of a bottleneck in {PLACES[network]}, as this network; say it by "
        "--stride-in conv1 or conv2"
    )
    return Stride(network, "assumed", (*remarks, assumed))


def _refuse_other_stride(weights: Path, theirs: str, why: str, said: str | None, network: str) -> None:
    if theirs not in PLACES:
        raise WorkError(f"{weights}: {why} {theirs!r}; it can be {' or '.join(PLACES)}")
    if said not in {None, theirs}:
        raise WorkError(f"{weights}: {why} {PLACES[theirs]}, and --stride-in {said} was given; leave it out")
    if theirs != network:
        insist = "" if "metadata" in why else f", or --stride-in {network} where you know better"
        raise WorkError(
            f"{weights}: {why} {PLACES[theirs]}, and this network has it in {PLACES[network]}; give weights of such a "
            f"network, or --stride-in {theirs} to build the network as the weights were trained{insist}"
        )


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
