"""Evaluation shared by several processes: every image counted once; weights carried from stage to stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_evaluate import Position, _images, _normalise
from torch import nn

from repro import models
from repro.config.errors import EvaluationError, WeightsError
from repro.config.networks import GCN, Classifier, Conv1x1, Model
from repro.evaluation.evaluator import Counts, evaluate_images, interleave
from repro.evaluation.predictor import Predictor


def _counts(start: int, total: int, step: int) -> Counts:
    """Counts whose values are the numbers of their images."""
    numbers = np.arange(start, total, step)
    return {"classes": np.tile(numbers[:, None, None], (1, 4, 3)), "top5": np.tile(numbers[:, None], (1, 2))}


@pytest.mark.parametrize("total", [0, 1, 2, 7, 8])
@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_shares_are_put_back_in_order(total: int, world: int) -> None:
    """Every image stands once, in its own place, also where there are fewer images than processes."""
    joined = interleave([_counts(rank, total, world) for rank in range(world)])
    assert joined["classes"].shape == (total, 4, 3)
    assert joined["classes"][:, 0, 0].tolist() == joined["top5"][:, 1].tolist() == list(range(total))


@pytest.mark.parametrize("sizes", [(3, 5), (5, 3), (4, 4, 2)])
def test_uneven_shares_are_refused(sizes: tuple[int, ...]) -> None:
    """An image that was counted twice or not at all makes no evaluation."""
    with pytest.raises(EvaluationError, match="no even shares"):
        interleave([_counts(0, size, 1) for size in sizes])


def test_shared_counts_are_those_of_one_process() -> None:
    """Three shares of five images, one of them of images of another size, give the counts of one process."""
    images = [*_images(3, 16, 24), *_images(2, 10, 12)]
    labels = [np.full(image.shape[:2], i % 4, np.uint8) for i, image in enumerate(images)]
    items = list(zip(range(5), images, labels, strict=True))
    predictor = Predictor(Position(), _normalise)
    whole = evaluate_images(predictor, items, 4)
    for world in (2, 3, 7):
        shared = interleave([evaluate_images(predictor, items[rank::world], 4) for rank in range(world)])
        for name, counts in whole.items():
            np.testing.assert_array_equal(shared[name], counts)


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
