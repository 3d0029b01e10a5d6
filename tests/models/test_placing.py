"""Where the stride of a bottleneck lies in a file of weights: told by the file, by the user, by its statistics."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from repro.config import profiles
from repro.config.dataset_info import IMAGENET_MEAN, IMAGENET_STD
from repro.config.errors import WorkError
from repro.config.experiment import Run, Training
from repro.config.networks import GCN, Model
from repro.data.normalise import normalise
from repro.models import load_backbone, placing
from repro.models.architectures import ARCHITECTURES
from repro.models.norm import BatchNorm
from repro.models.resnet import ResNet, StrideIn
from repro.models.weights import Stride, stride_of


def pictures(seed: int, count: int = 8) -> Tensor:
    """Return noise with structure at several sizes, (count, 3, 96, 96)."""
    rng = np.random.default_rng(seed)
    layers = [rng.normal(size=(count, 3, 96 // cell, 96 // cell)) for cell in (16, 8, 4)]
    whole = sum(np.kron(layer, np.ones((1, 1, cell, cell))) for layer, cell in zip(layers, (16, 8, 4), strict=True))
    return torch.from_numpy(np.asarray(whole, np.float32))


def trained(stride_in: StrideIn, seed: int = 0) -> ResNet:
    """Return a small backbone whose statistics are those of such pictures, with the stride where it is asked for.

    Its 3 x 3 kernels add up neighbours, as those of trained networks do.
    """
    torch.manual_seed(seed)
    net = ResNet(ARCHITECTURES["small"], stride_in)
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            module.weight.detach().abs_()
        if isinstance(module, BatchNorm):
            module.momentum = None
    with torch.no_grad():
        net.train()(pictures(seed, 32))
    return net.eval()


@pytest.mark.parametrize("stride_in", placing.PLACINGS)
@pytest.mark.parametrize("seed", range(4))
def test_the_statistics_tell_where_the_stride_lies(stride_in: StrideIn, seed: int) -> None:
    """Whichever it is, and wherever the network that was filled has it; the network is not touched."""
    theirs = trained(stride_in, seed)
    for ours in placing.PLACINGS:
        net = ResNet(ARCHITECTURES["small"], ours)
        net.load_state_dict(theirs.state_dict())
        before = copy.deepcopy(net.state_dict())
        found = placing.distances(net.train(), pictures(seed + 10, 32))
        assert placing.infer(found) == stride_in, found
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        assert all(module.training for module in net.modules())


def test_what_tells_nothing() -> None:
    """Statistics of no pictures at all, and stages without a bottleneck of stride 2."""
    torch.manual_seed(0)
    assert placing.infer(placing.distances(ResNet(ARCHITECTURES["small"]), 9 * pictures(0))) == ""
    flat = replace(ARCHITECTURES["small"], strides=(1, 1, 1, 1))
    assert placing.distances(ResNet(flat), pictures(0)) == {}
    assert placing.infer({}) == ""
    assert placing.infer({"conv1": 0.03, "conv2": 0.05}) == ""
    assert placing.infer({"conv1": 0.10, "conv2": 0.03}) == "conv2"


def test_pictures_of_any_size_become_squares() -> None:
    """The middle of a picture, wide or upright, larger or smaller."""
    for size in ((360, 480), (480, 360), (90, 120)):
        assert placing.square(np.zeros((*size, 3), np.uint8)).shape == (224, 224, 3)


def _run(stride_in: StrideIn = "conv1") -> Run:
    run = profiles.get("camvid", stride_in=stride_in).resolve(Training(Model(GCN(3))))
    assert run is not None
    return run


def _given(tmp_path: Path, theirs: StrideIn, **metadata: str) -> tuple[nn.Module, Path, Any]:
    """Return a network with such a backbone, the file that it was filled from, and pictures."""
    net = trained(theirs)
    file = tmp_path / "resnet.safetensors"
    save_file(net.state_dict(), file, metadata=metadata or None)
    return nn.ModuleDict({"backbone": net}), file, lambda: pictures(3, 32)


def never() -> Tensor:
    """Stand for pictures that nobody may ask for."""
    raise AssertionError


def test_metadata_comes_first(tmp_path: Path) -> None:
    """What the file says: taken where it is this network's, refused where it is not, and so is another option."""
    net, file, _ = _given(tmp_path, "conv1", stride_in="conv1")
    assert stride_of(_run(), net, file, None, never) == Stride("conv1", "file")
    with pytest.raises(WorkError, match=r"metadata says stride_in conv1 .* and --stride-in conv2 was given"):
        stride_of(_run("conv2"), net, file, "conv2", never)
    net, file, _ = _given(tmp_path, "conv2", stride_in="conv2")
    with pytest.raises(
        WorkError, match=r"conv2 \(torchvision's\), and this network has it in conv1 .* --stride-in conv2"
    ):
        stride_of(_run(), net, file, None, never)
    assert stride_of(_run("conv2"), net, file, "conv2", never) == Stride("conv2", "file")
    net, file, _ = _given(tmp_path, "conv2", stride_in="conv3")
    with pytest.raises(WorkError, match="'conv3'; it can be conv1 or conv2"):
        stride_of(_run(), net, file, None, never)


def test_the_option_comes_second(tmp_path: Path) -> None:
    """A user who says it is believed; the network was built for it."""
    net, file, _ = _given(tmp_path, "conv1")
    assert stride_of(_run("conv2"), net, file, "conv2", never) == Stride("conv2", "option")


def test_else_it_is_measured(tmp_path: Path) -> None:
    """The statistics of another placing are refused, those of this one are recorded."""
    for theirs, ours in (("conv1", "conv1"), ("conv2", "conv2")):
        net, file, some = _given(tmp_path, theirs)  # type: ignore[arg-type]
        found = stride_of(_run(ours), net, file, None, some)  # type: ignore[arg-type]
        assert str(found) == f"{ours}, measured"
        assert not found.remarks
    net, file, some = _given(tmp_path, "conv2")
    with pytest.raises(
        WorkError, match=r"variances of its batch norms .* conv2 .* or --stride-in conv1 where you know"
    ):
        stride_of(_run(), net, file, None, some)


def test_else_it_is_assumed_and_said(tmp_path: Path) -> None:
    """Where nothing tells: one sentence with the remedy."""
    net, file, _ = _given(tmp_path, "conv1")
    found = stride_of(_run(), net, file, None, lambda: 100 * pictures(3))
    assert str(found) == "conv1, assumed"
    assert found.remarks[0].startswith("resnet.safetensors: assumed to have the stride of a bottleneck in conv1")


def test_a_prefix_is_said(tmp_path: Path) -> None:
    """Taken off by the reader, and named to the user."""
    net = trained("conv1")
    file = tmp_path / "w.safetensors"
    save_file({f"module.{name}": value for name, value in net.state_dict().items()}, file)
    found = stride_of(_run(), nn.ModuleDict({"backbone": net}), file, "conv1", never)
    assert found.remarks == ("w.safetensors: the prefix 'module.' of its keys was taken off",)


@pytest.mark.realdata
def test_the_originals_weights_on_street_scenes(real_data: Path) -> None:
    """ResNet-50 as its authors trained it, on eight pictures of CamVid; then with statistics of the other placing."""
    file, folder = real_data / "weights" / "resnet50_caffe.safetensors", real_data / "camvid" / "train"
    if not file.is_file() or not folder.is_dir():
        pytest.skip(f"{real_data} holds no weights/resnet50_caffe.safetensors or no camvid/train")
    paths = sorted(folder.iterdir())
    images = np.stack([placing.square(cv2.imread(str(path))[..., ::-1]) for path in paths[:: len(paths) // 16]])
    both = normalise(torch.from_numpy(images).permute(0, 3, 1, 2), IMAGENET_MEAN, IMAGENET_STD)
    net = ResNet(ARCHITECTURES["resnet50"])
    load_backbone(net, file)
    assert placing.infer(placing.distances(net, both[:8])) == "conv1"
    other = ResNet(ARCHITECTURES["resnet50"], "conv2")
    other.load_state_dict(net.state_dict())
    other.eval()
    for module in other.get_submodule("layer2.0").modules():
        if isinstance(module, BatchNorm):
            module.momentum = None
            module.reset_running_stats()
            module.train()
    with torch.no_grad():
        other.layer2[0](other.layer1(other.stem(both[8:])))
    assert placing.infer(placing.distances(other, both[:8])) == "conv2"
