"""Tests of loading published weights: what fits, what is refused, and that nothing is executed."""

from __future__ import annotations

import csv
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from repro import models
from repro.config.errors import WeightsError
from repro.config.networks import GCN, Classifier, Conv1x1, Model
from repro.models import ClassifierNet, build, inherit, load_backbone, load_classifier
from repro.models.architectures import ARCHITECTURES
from repro.models.resnet import ResNet
from repro.models.weights import Header, read_header


def backbone(seed: int) -> ResNet:
    """Return a small backbone of a seed."""
    torch.manual_seed(seed)
    return ResNet(ARCHITECTURES["small"])


def written(path: Path, **changes: Tensor | None) -> Path:
    """Write the weights of seed 1 to a file, with some keys replaced or (``None``) left out; dots are ``__``."""
    tensors: dict[str, Tensor | None] = {**backbone(1).state_dict()}
    tensors |= {name.replace("__", "."): value for name, value in changes.items()}
    save_file({name: value for name, value in tensors.items() if value is not None}, path)
    return path


def test_round_trip(tmp_path: Path) -> None:
    """Every tensor of the file arrives, bit for bit."""
    net = backbone(2)
    load_backbone(net, written(tmp_path / "w.safetensors"))
    expected = backbone(1).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in net.state_dict().items())


def test_float16_and_fc(tmp_path: Path) -> None:
    """Half precision on disk becomes float32 here, and a classifier in the file is passed over."""
    half = backbone(1).conv1.weight.detach().half()
    net = backbone(2)
    load_backbone(net, written(tmp_path / "w.safetensors", conv1__weight=half, fc__weight=torch.ones(2, 2)))
    assert net.conv1.weight.dtype == torch.float32
    assert torch.equal(net.conv1.weight.detach(), half.float())


def test_batch_counters_may_be_missing(tmp_path: Path) -> None:
    """Caffe conversions lack ``num_batches_tracked``, which no evaluation reads."""
    load_backbone(backbone(2), written(tmp_path / "w.safetensors", bn1__num_batches_tracked=None))


def test_classifier_needs_its_fc(tmp_path: Path) -> None:
    """The linear layer is loaded where there is one and missed where there is none."""
    net = build(Classifier("small"), 3)
    assert isinstance(net, ClassifierNet)
    fc = {"fc__weight": torch.ones_like(net.fc.weight), "fc__bias": torch.zeros(3)}
    load_classifier(net, written(tmp_path / "w.safetensors", **fc))
    assert net.fc.weight.eq(1).all()
    with pytest.raises(WeightsError, match=r"'fc\.bias' is missing"):
        load_classifier(net, written(tmp_path / "v.safetensors"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"layer1__0__conv2__weight": None}, r"w\.safetensors: key 'layer1\.0\.conv2\.weight' is missing; give a"),
        ({"layer9__weight": torch.ones(1)}, r"'layer9\.weight' has no place in this backbone; give a"),
        ({"bn1__weight": torch.ones(33)}, r"'bn1\.weight' has shape \(33,\), not \(16,\); give a"),
    ],
)
def test_what_does_not_fit_is_refused_whole(tmp_path: Path, changes: dict[str, Tensor | None], says: str) -> None:
    """One sentence names file, key and remedy, and the network keeps every weight it had."""
    net = backbone(2)
    with pytest.raises(WeightsError, match=says):
        load_backbone(net, written(tmp_path / "w.safetensors", **changes))
    expected = backbone(2).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"layer1__0__conv1__weight": torch.full((12, 16, 1, 1), torch.nan)},
            r"not finite in (backbone\.)?layer1\.0\.conv1\.weight; ",
        ),
        ({"bn1__bias": torch.full((16,), torch.inf)}, r"not finite in (backbone\.)?bn1\.bias; "),
        (
            {"conv1__weight": torch.full((16, 3, 3, 3), 1e300, dtype=torch.float64)},
            r"not finite in (backbone\.)?conv1\.weight; ",
        ),
        (
            {"bn1__weight": torch.ones(16, dtype=torch.int64)},
            r"int64, not a floating type, in (backbone\.)?bn1\.weight; ",
        ),
        (
            {"bn1__weight": torch.ones(16, dtype=torch.bool)},
            r"bool, not a floating type, in (backbone\.)?bn1\.weight; ",
        ),
        ({"bn1__running_var": torch.full((16,), -0.5)}, r"a negative variance in (backbone\.)?bn1\.running_var; "),
    ],
)
def test_values_that_no_training_can_start_from(tmp_path: Path, changes: dict[str, Tensor], says: str) -> None:
    """They would only diverge, and the network would be blamed; nothing of the file is taken."""
    net = backbone(2)
    path = written(tmp_path / "w.safetensors", **changes)
    for load in (lambda: load_backbone(net, path), lambda: inherit(_holder(net), _wrapped(path), "backbone.")):
        with pytest.raises(WeightsError, match=says):
            load()
    expected = backbone(2).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in net.state_dict().items())


def _holder(net: ResNet) -> torch.nn.Module:
    return torch.nn.ModuleDict({"backbone": net})


def _wrapped(path: Path) -> Path:
    """Return a copy of a file whose keys lie under ``backbone.``, as a training leaves them."""
    file = path.with_name("training.safetensors")
    save_file({f"backbone.{name}": value for name, value in load_file(path).items()}, file)
    return file


@pytest.mark.parametrize("prefix", ["module.", "backbone.", "_orig_mod.module."])
def test_a_prefix_of_all_keys_is_taken_off(tmp_path: Path, prefix: str) -> None:
    """Of DataParallel, of torch.compile, of a larger network: the same weights, and the header says it."""
    tensors = {f"{prefix}{name}": value for name, value in backbone(1).state_dict().items()}
    save_file(tensors, tmp_path / "w.safetensors")
    net = backbone(2)
    load_backbone(net, tmp_path / "w.safetensors")
    assert torch.equal(net.conv1.weight, backbone(1).conv1.weight)
    assert read_header(tmp_path / "w.safetensors") == Header(prefix)


def test_a_backbone_inside_a_larger_network_is_named(tmp_path: Path) -> None:
    """Keys beside those of the backbone: nothing is guessed, the sentence shows where it lies."""
    tensors = {f"backbone.{name}": value for name, value in backbone(1).state_dict().items()}
    save_file({**tensors, "classifier.weight": torch.ones(1)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"'bn1\.bias' is missing \(the file has 'backbone\.bn1\.bias'\)"):
        load_backbone(backbone(2), tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
    ],
)
def test_files_of_another_kind_are_named(tmp_path: Path, start: bytes, says: str) -> None:
    """What a failed download leaves in the place of weights."""
    path = tmp_path / "w.safetensors"
    path.write_bytes(start)
    with pytest.raises(WeightsError, match=says):
        load_backbone(backbone(2), path)


def test_a_checkpoint_of_torch_is_named(tmp_path: Path) -> None:
    """A .pt file, here with its tensors under ``state_dict``: what it is, and how it is converted."""
    torch.save({"state_dict": backbone(1).state_dict(), "epoch": 90}, tmp_path / "model_best.pth.tar")
    with pytest.raises(WeightsError, match=r"a pickle of torch\.save.*'state_dict'"):
        load_backbone(backbone(2), tmp_path / "model_best.pth.tar")


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    """A missing file, a cut one and a folder are each said in a sentence."""
    with pytest.raises(WeightsError, match="no such weights file"):
        load_backbone(backbone(2), tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="no such weights file"):
        load_backbone(backbone(2), tmp_path)
    path = written(tmp_path / "w.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_backbone(backbone(2), path)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        """Remember the folder."""
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Tell pickle to make the folder."""
        return os.mkdir, (str(self.path),)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """A pickle is refused and its code does not run."""
    path = tmp_path / "resnet50.pth"
    path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_backbone(backbone(2), path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.realdata
def test_imagenet_accuracy() -> None:
    """The original's weights in our ResNet-50 reach top-1 89 % and top-5 97.5 % on 500 ImageNet images."""
    if "REPRO_DATA" not in os.environ:
        pytest.skip("REPRO_DATA is unset: no ImageNet images")
    root = Path(os.environ["REPRO_DATA"])
    weights, images = root / "weights" / "resnet50_caffe.safetensors", root / "imagenet"
    if not weights.is_file() or not images.is_dir():
        pytest.skip(f"{root} holds no weights/resnet50_caffe.safetensors or no imagenet/")
    net = build(Classifier("resnet50", stride_in="conv1"), 1000).eval().to(memory_format=torch.channels_last)
    assert isinstance(net, ClassifierNet)
    load_classifier(net, weights)
    top1, top5 = _accuracy(net, images)
    print(f"top-1 {top1:.3f} top-5 {top5:.3f}")  # noqa: T201 - shown by pytest -s
    assert top1 >= 0.89
    assert top5 >= 0.975


def _accuracy(net: ClassifierNet, folder: Path) -> tuple[float, float]:
    with (folder / "labels.tsv").open(encoding="utf-8") as lines:
        index = {row[1]: int(row[0]) for row in csv.reader(lines, delimiter="\t") if row[0].isdigit()}
    paths = sorted(path for path in folder.glob("val/*/*") if path.is_file())
    hits = np.zeros(2)
    with torch.inference_mode():
        for start in range(0, len(paths), 20):
            batch = paths[start : start + 20]
            ranked = net(torch.stack([_crop(path) for path in batch])).topk(5).indices
            right = ranked == torch.tensor([index[path.parent.name] for path in batch])[:, None]
            hits += right[:, 0].sum().item(), right.any(1).sum().item()
    assert len(paths) == 500
    return tuple(hits / len(paths))


def _crop(path: Path) -> Tensor:
    """Return the normalised centre crop of 224, (3, 224, 224)."""
    image = Image.open(path).convert("RGB")
    scale = 256 / min(image.size)
    if scale != 1:
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    pixels = torch.from_numpy(np.array(image.crop((left, top, left + 224, top + 224)))).permute(2, 0, 1) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (pixels - mean[:, None, None]) / std[:, None, None]


def _saved(net: nn.Module, folder: Path) -> Path:
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, folder / "weights.safetensors")
    return folder / "weights.safetensors"


def _net(model: Model | Classifier, num_classes: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return models.build(model, num_classes)


def test_a_stage_takes_all_weights(tmp_path: Path) -> None:
    """Stage-2 starts as Stage-1 ended, heads and refinement included."""
    model = Model(GCN(3), refine=True, backbone="small")
    first, second = _net(model, 6, 0), _net(model, 6, 1)
    models.inherit(second, _saved(first, tmp_path))
    for name, value in second.state_dict().items():
        torch.testing.assert_close(value, first.state_dict()[name], rtol=0, atol=0)


@pytest.mark.parametrize("backbone", ["small", "small_gcn"])
def test_a_classifier_gives_its_backbone_alone(backbone: str, tmp_path: Path) -> None:
    """Table 6: the backbone comes from the classifier of 20 classes, the heads of 6 classes stay as they were."""
    classifier, net = _net(Classifier(backbone), 20, 0), _net(Model(Conv1x1(), backbone=backbone), 6, 1)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    models.inherit(net, _saved(classifier, tmp_path), "backbone.")
    for name, value in net.state_dict().items():
        source = classifier.state_dict() if name.startswith("backbone.") else before
        torch.testing.assert_close(value, source[name], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("other", "num_classes", "part", "says"),
    [
        (Model(Conv1x1(), backbone="small"), 21, "", "another number of classes"),
        (Model(GCN(3), backbone="small"), 6, "", "head"),
        (Model(Conv1x1(), refine=True, backbone="small"), 6, "", "head"),
        (Classifier("small_gcn"), 20, "backbone.", "backbone"),
    ],
)
def test_a_stage_of_another_network_is_refused(
    other: Model | Classifier, num_classes: int, part: str, says: str, tmp_path: Path
) -> None:
    """Another number of classes, head, refinement or backbone: one sentence, and nothing is copied."""
    path, net = _saved(_net(other, num_classes, 0), tmp_path), _net(Model(Conv1x1(), backbone="small"), 6, 1)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(WeightsError, match=says):
        models.inherit(net, path, part)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
