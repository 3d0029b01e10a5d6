"""Initial weights of a run: seeded, then loaded from a safetensors file of ImageNet or of an earlier stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from repro.config.errors import WeightsError, WorkError
from repro.config.experiment import Run
from repro.config.networks import Classifier
from repro.models import placing
from repro.models.network import ClassifierNet, build
from repro.models.norm import freeze_bn
from repro.models.resnet import ResNet
from repro.results.records import Record

_REMEDY = "give a safetensors file of this backbone under torchvision's key names"


@dataclass(frozen=True)
class Header:
    """Key prefix and metadata of a weights file."""

    prefix: str = ""
    """Common prefix of all keys, such as ``module.`` (torch's DataParallel), removed on reading."""
    stride_in: str = ""
    """Metadata ``stride_in``: the convolution of a bottleneck that carries the stride; mostly absent."""


def load_backbone(backbone: ResNet, path: str | Path) -> None:
    """Copy a file's weights (any float type) into ``backbone``; a classifier ``fc`` is ignored.

    Raises:
        WeightsError: the file is missing or damaged, a key is missing or unexpected, a shape is another, or a value is
            invalid (not finite, no float, a negative variance).
    """
    tensors = {name: tensor for name, tensor in _plain(Path(path)).items() if not name.startswith("fc.")}
    _copy(backbone.state_dict(), tensors, Path(path))


def load_classifier(net: ClassifierNet, path: str | Path) -> None:
    """Copy a file's weights, ``fc`` included, into a classifier; raise ``WeightsError`` as ``load_backbone``."""
    own = net.backbone.state_dict() | {f"fc.{name}": value for name, value in net.fc.state_dict().items()}
    _copy(own, _plain(Path(path)), Path(path))


def inherit(net: nn.Module, path: Path, part: str = "") -> None:
    """Copy an earlier training's weights into ``net``: all of them, or those under ``part`` ("backbone.").

    Raises:
        WeightsError: a tensor is missing, unexpected or of another shape (another backbone, number of classes or head).
    """
    own = {name: value for name, value in net.state_dict().items() if name.startswith(part)}
    theirs = {name: value for name, value in _tensors(path).items() if name.startswith(part)}
    odd = sorted(own.keys() ^ theirs.keys())
    other = sorted(name for name in own.keys() & theirs.keys() if own[name].shape != theirs[name].shape)
    if odd or other:
        name = (other + odd)[0]
        shapes = [tuple(x[name].shape) if name in x else "none" for x in (theirs, own)]
        msg = (
            f"{path}: {name} is {shapes[0]} where this network has {shapes[1]} (another number of classes, head or "
            "backbone); start from a training of the same network"
        )
        raise WeightsError(msg)
    check_values(own, theirs, path, "retract its record and train it again")
    net.load_state_dict(theirs, strict=False)


def read_header(path: str | Path) -> Header:
    """Return the header of a file, without reading its tensors.

    Raises:
        WeightsError: the file is missing, damaged, or of another kind.
    """
    with _opened(Path(path)) as file:
        return Header(_prefix(list(file.keys())), (file.metadata() or {}).get("stride_in", ""))


def _plain(path: Path) -> dict[str, Tensor]:
    """Return a file's tensors by name, a prefix common to all of them removed."""
    tensors = _tensors(path)
    prefix = _prefix(list(tensors))
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _tensors(path: Path) -> dict[str, Tensor]:
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in list(file.keys())}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file; raise ``WeightsError`` where it is missing or unreadable."""
    if not path.is_file():
        msg = f"{path}: no such weights file; check the path, or leave it out to start from random weights"
        raise WeightsError(msg)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        msg = f"{path}: not a readable safetensors file ({_kind(path) or error}); {_REMEDY}"
        raise WeightsError(msg) from error


def _kind(path: Path) -> str:
    """Recognise common wrong file types by their first bytes; an empty string for any other."""
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return (
            "it is a pickle of torch.save, which runs code when it is opened; where you trust it: "
            "safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'weights.safetensors'), with the "
            "tensors taken from under 'state_dict' or 'model' where they lie there"
        )
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; fetch the file itself with git lfs pull"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "it is a web page; the download went to a page, not to the file"
    return "it is empty" if not start else ""


def _prefix(names: list[str]) -> str:
    """Return the common prefix of all keys before the names of a ResNet; empty where there is none."""
    first = min((name for name in names if name.endswith("conv1.weight")), key=len, default="")
    prefix = first.removesuffix("conv1.weight")
    return prefix if all(name.startswith(prefix) for name in names) else ""


def _copy(own: dict[str, Tensor], tensors: dict[str, Tensor], path: Path) -> None:
    """Copy all tensors, after checking all of them, so that a refused file changes nothing."""
    counters = {name for name in own if name.endswith("num_batches_tracked")} - tensors.keys()
    for name in (*sorted(own.keys() - tensors.keys() - counters), *sorted(tensors.keys() - own.keys())):
        fault = f"is missing{_elsewhere(name, tensors)}" if name in own else "has no place in this backbone"
        msg = f"{path}: key {name!r} {fault}; {_REMEDY}"
        raise WeightsError(msg)
    for name, tensor in sorted(tensors.items()):
        if tensor.shape != own[name].shape:
            msg = f"{path}: {name!r} has shape {tuple(tensor.shape)}, not {tuple(own[name].shape)}; {_REMEDY}"
            raise WeightsError(msg)
    check_values(own, tensors, path, _REMEDY)
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)


def _elsewhere(name: str, tensors: dict[str, Tensor]) -> str:
    """Return a hint at a longer key that ends with the missing one, for files of a larger network."""
    found = next((other for other in sorted(tensors) if other.endswith(f".{name}")), "")
    return f" (the file has {found!r})" if found else ""


def check_values(own: dict[str, Tensor], tensors: dict[str, Tensor], path: Path, remedy: str) -> None:
    """Raise ``WeightsError`` for a tensor that is not finite, not of a floating type, or a negative variance."""
    for name, tensor in sorted(tensors.items()):
        if not own[name].is_floating_point():
            continue
        if not tensor.is_floating_point():
            fault = f"{str(tensor.dtype).removeprefix('torch.')}, not a floating type, in"
        elif not tensor.to(own[name].dtype).isfinite().all():
            fault = "not finite in"
        elif name.endswith("running_var") and tensor.min() < 0:
            fault = "a negative variance in"
        else:
            continue
        msg = f"{path}: {fault} {name}; {remedy}"
        raise WeightsError(msg)


LABELS = {"conv1": "conv1 (He et al.)", "conv2": "conv2 (torchvision's)"}


def network(run: Run, seed: int, classes: int, weights: Path | None, parent: Record | None) -> nn.Module:
    """Build the network of a run with its initial weights.

    Args:
        run: what is trained, or whose weights are evaluated.
        seed: seed of the initialisation.
        classes: number of classes of the data set.
        weights: the file of ImageNet weights, read only where the run starts from it.
        parent: the record whose weights the run starts from.

    Raises:
        WorkError: the parent has another number of classes.
        RecordError: the parent's weights file differs from the one its run wrote.
    """
    torch.manual_seed(seed)
    net = build(run.model, classes, head_std=run.recipe.head_std)
    if parent is not None:
        part = "backbone." if _takes_backbone(run) else ""
        if not part:
            _refuse_other_classes(run, classes, parent)
        inherit(net, parent.weights(), part)
    elif weights is not None and run.from_file:
        load_backbone(net.backbone, weights)
    if run.recipe.frozen_bn:
        freeze_bn(net.backbone)
    return net


@dataclass(frozen=True)
class Stride:
    """The convolution of a bottleneck that carries the stride in a weights file, and the evidence for it."""

    stride_in: str
    source: str
    """``file`` (its metadata), ``option`` (``--stride-in``), ``measured`` (its statistics), or ``assumed``."""
    remarks: tuple[str, ...] = ()
    """Sentences for the user."""

    def __str__(self) -> str:
        """Return the text that a record holds."""
        return f"{self.stride_in}, {self.source}"


def stride_of(run: Run, net: nn.Module, weights: Path, option: str | None, pictures: Callable[[], Tensor]) -> Stride:
    """Return the position of the stride in the file that a network was loaded from.

    Args:
        run: the run of the network.
        net: loaded from ``weights``, on the CPU.
        weights: the file of ImageNet weights.
        option: the user's ``--stride-in``, ``conv1`` or ``conv2``; None where it was not given.
        pictures: returns a few normalised training images (n, 3, h, w); called only without metadata and option.

    Raises:
        WorkError: the file contradicts the user, or has another position than this network.
    """
    header, network = read_header(weights), run.model.stride_in
    taken = f"{weights.name}: the prefix {header.prefix!r} of its keys was taken off" if header.prefix else ""
    remarks = (taken,) * bool(taken)
    if header.stride_in:
        _refuse_other_stride(weights, header.stride_in, "its metadata says stride_in", option, network)
        return Stride(header.stride_in, "file", remarks)
    if option:
        return Stride(option, "option", remarks)
    backbone = net.get_submodule("backbone")
    assert isinstance(backbone, ResNet)
    found = placing.infer(placing.distances(backbone, pictures()))
    if found:
        _refuse_other_stride(weights, found, "the variances of its batch norms are those of a stride in", None, network)
        return Stride(found, "measured", remarks)
    assumed = (
        f"{weights.name}: assumed to have the stride of a bottleneck in {LABELS[network]}, as this network; say it by "
        "--stride-in conv1 or conv2"
    )
    return Stride(network, "assumed", (*remarks, assumed))


def _refuse_other_stride(weights: Path, theirs: str, why: str, option: str | None, network: str) -> None:
    if theirs not in LABELS:
        raise WorkError(f"{weights}: {why} {theirs!r}; it can be {' or '.join(LABELS)}")
    if option not in {None, theirs}:
        raise WorkError(f"{weights}: {why} {LABELS[theirs]}, and --stride-in {option} was given; leave it out")
    if theirs != network:
        insist = "" if "metadata" in why else f", or --stride-in {network} where you know better"
        raise WorkError(
            f"{weights}: {why} {LABELS[theirs]}, and this network has it in {LABELS[network]}; give weights of such a "
            f"network, or --stride-in {theirs} to build the network as the weights were trained{insist}"
        )


def _takes_backbone(run: Run) -> bool:
    """Whether a segmentation network is trained from a classifier's weights (Table 6)."""
    starts_from = run.start.model if run.trained() == run and isinstance(run.start, Run) else None
    return isinstance(starts_from, Classifier) and not isinstance(run.model, Classifier)


def _refuse_other_classes(run: Run, classes: int, parent: Record) -> None:
    """Raise ``WorkError`` where the record that this run starts from has another number of classes."""
    theirs = len(parent.meta.get("classes", ()))
    if theirs not in {0, classes}:
        raise WorkError(
            f"{run.slug}: starts from {parent.folder}, which has {theirs} classes where this run has {classes}; "
            f"retract it (repro retract {parent.name} --why 'other classes') and run again"
        )
