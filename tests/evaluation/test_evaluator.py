"""Evaluation protocols against slow references, in one process and shared by several."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from repro.config.errors import EvaluationError, MetricError
from repro.config.experiment import CRF, Evaluation
from repro.evaluation import evaluator, regions
from repro.evaluation.confusion import class_counts
from repro.evaluation.crf import refine, refine_all
from repro.evaluation.evaluator import (
    Counts,
    Tally,
    background_of,
    counted_on_device,
    counted_on_host,
    evaluate_classifier,
    evaluate_images,
    interleave,
    per_image,
    pixels_at_once,
    predicted,
)
from repro.evaluation.predictor import Predictor
from repro.results import metrics
from tests.support.predictions import PositionNetwork, centred, random_images


def test_counts_are_the_slow_loops() -> None:
    """Counts per image and class equal a loop over pixels; void pixels are not counted."""
    rng = np.random.default_rng(1)
    images = [*random_images(3, 16, 24), *random_images(2, 10, 12)]
    labels = [rng.choice(np.array([0, 1, 2, 3, 255], np.uint8), im.shape[:2]) for im in images]
    predictor = Predictor(PositionNetwork(), centred)
    counts = evaluate_images(predictor, zip(range(5), images, labels, strict=True), 4)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        pred = predictor.labels([image])[0]
        for c in range(4):
            scored = label != 255
            expected = [((pred == c) & (label == c)).sum(), ((pred == c) & scored).sum(), (label == c).sum()]
            assert counts["classes"][i, c].tolist() == expected
        assert counts["distance"][i, :, 1].sum() == (label != 255).sum()
        assert counts["size"][i, :, 1].sum() == ((label != 255) & (label != 0)).sum()
        assert counts["size"][i, :, 0].sum() == ((label == pred) & (label != 0)).sum()
    assert 0 <= metrics.score("miou", counts) <= 1


def test_first_class_is_no_object_where_it_is_background() -> None:
    """Street scenes have no background: every class of theirs is an object's."""
    assert background_of(("background", "disc")) == 0
    assert background_of(("sky", "building")) is None
    assert background_of(()) is None


def test_training_mode_is_given_back() -> None:
    """Evaluation leaves the network as it was."""
    net = PositionNetwork().train()
    evaluate_images(Predictor(net, centred), [(0, random_images(1, 8, 8)[0], np.zeros((8, 8), np.uint8))], 4)
    assert net.training


@pytest.mark.parametrize("processes", [1, 2])
def test_a_refinement_sees_each_image_with_its_softmax(processes: int) -> None:
    """The dense CRF in worker processes: images of two sizes, in order, as each alone is refined."""
    crf = CRF(iterations=2, position_sd=1.0, bilateral_sd=5.0)
    net, images = PositionNetwork(), [*random_images(3, 8, 12), *random_images(2, 10, 8)]
    labels = [np.full(image.shape[:2], i % 4, np.uint8) for i, image in enumerate(images)]
    plain = Predictor(net, centred)
    predictor = replace(plain, refine=partial(refine_all, crf=crf, processes=processes))
    items = list(zip(range(5), images, labels, strict=True))
    expected = [refine(plain.softmax([image])[0], image, crf) for image in images]
    shapes = [label.shape for label in labels]
    assert [begun for _, _, begun in predicted(predictor, items, lambda _, label: label.shape)] == shapes
    for (label, pred, _), truth, alone in zip(
        predicted(predictor, items, lambda i, _: i), labels, expected, strict=True
    ):
        np.testing.assert_array_equal(label, truth)
        np.testing.assert_array_equal(pred, alone)
    np.testing.assert_array_equal(predictor.labels(images[:1])[0], expected[0])
    counts = evaluate_images(predictor, items, 4)["classes"]
    np.testing.assert_array_equal(counts[:, :, 1].sum(1), [image.shape[0] * image.shape[1] for image in images])


def test_numbers_are_counted_image_by_image() -> None:
    """Beside bincount, with numbers beyond the count left out of the last image."""
    codes = torch.randint(0, 50, (4, 9, 7), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    expected = [np.bincount(image.reshape(-1), minlength=50) for image in codes.numpy()]
    np.testing.assert_array_equal(per_image(codes, 50).numpy(), expected)


def _maps(count: int, h: int, w: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return label maps of patches and noise with void, and predictions that are mostly right."""
    rng = np.random.default_rng(seed)
    values = np.array([0, 1, 2, 3, 255], np.uint8)
    labels = np.kron(rng.choice(values, (count, -(-h // 6), -(-w // 6))), np.ones((6, 6), np.uint8))[:, :h, :w]
    noisy = rng.random((count, h, w)) < 0.1
    labels = np.where(noisy, rng.choice(values, (count, h, w)), labels)
    wrong = (rng.random((count, h, w)) < 0.3) | (labels == 255)
    return labels, np.where(wrong, rng.integers(0, 4, (count, h, w)), labels).astype(np.uint8)


def test_counts_kept_on_a_device_are_those_of_each_image() -> None:
    """The same label maps counted several at a time, by torch, and one by one, by NumPy: every number."""
    tally, expected = Tally(4, torch.device("cpu")), {"classes": [], "distance": [], "size": []}
    for seed, (count, h, w) in enumerate([(3, 30, 41), (1, 7, 5), (2, 64, 33), (2, 1, 1)]):
        labels, pred = _maps(count, h, w, seed)
        places = np.stack([regions.region_codes(image) for image in labels])
        tally.add(labels, torch.from_numpy(pred), places)
        for one, guess, where in zip(labels, pred, places, strict=True):
            near, large = regions.region_counts(one, guess, where)
            for name, counts in zip(expected, (class_counts(one, guess, 4), near, large), strict=True):
                expected[name].append(counts)
    found = tally.counts()
    assert list(found) == list(expected)
    for name, counts in expected.items():
        assert found[name].dtype == np.int64
        np.testing.assert_array_equal(found[name], counts)


@pytest.mark.parametrize(
    "protocol",
    [Evaluation(), Evaluation(scales=(0.5, 1.0), flip=True), Evaluation(crops=3)],
    ids=["one", "all", "crops"],
)
def test_several_images_a_pass_have_the_counts_of_one(protocol: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, here on a CPU: a pass of several may round a score otherwise, in a pixel of a thousand at most."""
    images = [*random_images(5, 18, 27), *random_images(2, 10, 12), *random_images(3, 18, 27)]
    labels = [_maps(1, *image.shape[:2], seed)[0][0] for seed, image in enumerate(images)]
    predictor = Predictor(PositionNetwork(), centred, frame=(32, 32), evaluation=protocol)
    items = list(zip(range(10), images, labels, strict=True))

    def begin(_: int, truth: np.ndarray) -> partial[np.ndarray]:
        return partial(regions.region_codes, truth)

    steps: dict[str, list[int]] = {"several": [], "one": []}
    monkeypatch.setattr(evaluator, "pixels_at_once", lambda _: 3 * 18 * 27)
    several = counted_on_device(predictor, items, 4, begin, steps["several"].append)
    monkeypatch.setattr(evaluator, "chunks", lambda items, *_: ([item] for item in items))
    one = counted_on_host(predictor, items, 4, begin, steps["one"].append)
    assert steps == {"several": [3, 5, 7, 10], "one": list(range(1, 11))}
    for name, counts in one.items():
        assert several[name].shape == counts.shape
        assert np.abs(several[name] - counts).sum() <= 2 * sum(image[..., 0].size for image in images) // 1000


def test_what_cannot_be_counted_is_said_on_a_device_too() -> None:
    """A label that is no class, a prediction that is none, maps of two sizes: the sentences of one image."""
    predictor, image = Predictor(PositionNetwork(), centred), random_images(1, 8, 8)[0]

    def count(labels: np.ndarray, num_classes: int) -> None:
        counted_on_device(
            predictor,
            [(0, image, labels)],
            num_classes,
            lambda _, truth: partial(regions.region_codes, truth),
            lambda _: None,
        )

    with pytest.raises(MetricError, match="value 7 is neither one of the 4 classes nor void"):
        count(np.full((8, 8), 7, np.uint8), 4)
    with pytest.raises(MetricError, match="class 3 is outside the 2 classes"):
        count(np.zeros((8, 8), np.uint8), 2)
    with pytest.raises(MetricError, match="differ in shape"):
        count(np.zeros((8, 9), np.uint8), 4)


def test_a_gpu_takes_as_many_images_as_a_share_of_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the whole of it, so that a device always takes the same; fewer where they are enlarged; a CPU as before."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=80 * 2**30))
    cpu = Predictor(PositionNetwork(), centred)
    gpu = replace(cpu, device=torch.device("cuda"))
    assert pixels_at_once(cpu) == evaluator.PIXELS_AT_ONCE
    assert pixels_at_once(gpu) == 80 * 2**30 // 16 // 4096  # seven of 384 x 480
    assert pixels_at_once(replace(gpu, evaluation=Evaluation(scales=(0.5, 1.0, 2.0)))) == 80 * 2**30 // 16 // 4096 // 4


def test_right_answers_are_counted_per_image() -> None:
    """Right in one and right in five, over several passes; no image, no row."""
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 9))
    torch.manual_seed(0)
    nn.init.normal_(net[2].weight)
    images, device = random_images(70, 6, 6), torch.device("cpu")
    items = [(i, image, i % 9) for i, image in enumerate(images)]
    steps: list[int] = []
    found = evaluate_classifier(net, centred, items, device, progress=steps.append)["top5"]
    assert steps == [64, 70]
    with torch.no_grad():
        for i, image in enumerate(images):
            order = net(centred(torch.from_numpy(image).permute(2, 0, 1)[None]))[0].argsort(descending=True)
            assert found[i].tolist() == [int(order[0] == i % 9), int(i % 9 in order[:5])]
    assert evaluate_classifier(net, centred, [], device)["top5"].shape == (0, 2)


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
    images = [*random_images(3, 16, 24), *random_images(2, 10, 12)]
    labels = [np.full(image.shape[:2], i % 4, np.uint8) for i, image in enumerate(images)]
    items = list(zip(range(5), images, labels, strict=True))
    predictor = Predictor(PositionNetwork(), centred)
    whole = evaluate_images(predictor, items, 4)
    for world in (2, 3, 7):
        shared = interleave([evaluate_images(predictor, items[rank::world], 4) for rank in range(world)])
        for name, counts in whole.items():
            np.testing.assert_array_equal(shared[name], counts)
