"""Reads published weights into a backbone, from safetensors only: nothing in a file is ever executed."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from repro.models.network import ClassifierNet
from repro.models.resnet import ResNet

_REMEDY = "give a safetensors file of this backbone under torchvision's key names"


class WeightsError(ValueError):
    """Weights that do not fit the network, in one sentence."""


def load_backbone(backbone: ResNet, path: str | Path) -> None:
    """Copy a file's weights (any float type) into ``backbone``; its classifier ``fc``, if any, is passed over.

    Raises:
        WeightsError: the file is missing or damaged, a key is missing or unexpected, or a shape is another.
    """
    tensors = {name: tensor for name, tensor in _read(Path(path)).items() if not name.startswith("fc.")}
    _copy(backbone.state_dict(), tensors, Path(path))


def load_classifier(net: ClassifierNet, path: str | Path) -> None:
    """Copy a file's weights, ``fc`` included, into a classifier; raise ``WeightsError`` as ``load_backbone``."""
    own = net.backbone.state_dict() | {f"fc.{name}": value for name, value in net.fc.state_dict().items()}
    _copy(own, _read(Path(path)), Path(path))


def inherit(net: nn.Module, path: Path, part: str = "") -> None:
    """Copy an earlier training's weights into ``net``: all of them, or those under ``part`` ("backbone.").

    Raises:
        WeightsError: a tensor is missing, has no place or another shape (another backbone, number of classes or head).
    """
    own = {name: value for name, value in net.state_dict().items() if name.startswith(part)}
    theirs = {name: value for name, value in _read(path).items() if name.startswith(part)}
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
    net.load_state_dict(theirs, strict=False)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        msg = f"{path}: no such weights file; check the path, or leave it out to start from random weights"
        raise WeightsError(msg)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        msg = f"{path}: not a readable safetensors file ({error}); {_REMEDY}"
        raise WeightsError(msg) from error
    return tensors


def _copy(own: dict[str, Tensor], tensors: dict[str, Tensor], path: Path) -> None:
    """Check all of it before the first copy, so that a refused file changes nothing."""
    counters = {name for name in own if name.endswith("num_batches_tracked")} - tensors.keys()
    for name in sorted((own.keys() ^ tensors.keys()) - counters):
        fault = "is missing" if name in own else "has no place in this backbone"
        msg = f"{path}: key {name!r} {fault}; {_REMEDY}"
        raise WeightsError(msg)
    for name, tensor in sorted(tensors.items()):
        if tensor.shape != own[name].shape:
            msg = f"{path}: {name!r} has shape {tuple(tensor.shape)}, not {tuple(own[name].shape)}; {_REMEDY}"
            raise WeightsError(msg)
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)
