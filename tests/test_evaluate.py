"""Evaluation protocols against slow references."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from repro.config.errors import MetricError
from repro.config.experiment import CRF, Evaluation
from repro.evaluation import evaluator, regions
from repro.evaluation.confusion import class_counts
from repro.evaluation.crf import refine, refine_all
from repro.evaluation.evaluator import (
    Tally,
    background_of,
    counted_on_device,
    counted_on_host,
    evaluate_classifier,
    evaluate_images,
    per_image,
    pixels_at_once,
    predicted,
)
from repro.evaluation.predictor import Predictor, crop_boxes
from repro.results import metrics


class Position(nn.Module):
    """A network whose answer depends on colour and on the distance from the border, as padding makes it."""

    def __init__(self) -> None:
        """Fix the weights."""
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 3, h, w) to (n, 4, h, w)."""
        return self.conv(x)  # type: ignore[no-any-return]


def _normalise(images: Tensor) -> Tensor:
    return images.float() / 255 - 0.5


def _images(count: int, h: int, w: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for _ in range(count)]


def test_crops_of_cityscapes() -> None:
    """Section 4.3: four 1024 squares of a 1024 x 2048 image overlap; they start at 0, 341, 683, 1024."""
    assert [left for _, left, _ in crop_boxes(1024, 2048, 4)] == [0, 341, 683, 1024]
    assert crop_boxes(60, 20, 3) == [(0, 0, 20), (20, 0, 20), (40, 0, 20)]
    with pytest.raises(ValueError, match="ask for more crops"):
        crop_boxes(10, 40, 3)


def test_crops_are_fused_as_a_slow_loop_does() -> None:
    """Each pixel is the mean softmax of the crops that hold it."""
    net, image = Position(), _images(1, 24, 60)[0]
    predictor = Predictor(net, _normalise, evaluation=Evaluation(crops=4))
    x = _normalise(torch.from_numpy(image).permute(2, 0, 1)[None])
    total, seen = np.zeros((4, 24, 60)), np.zeros((24, 60))
    with torch.no_grad():
        for top, left, side in crop_boxes(24, 60, 4):
            part = net(x[:, :, top : top + side, left : left + side]).softmax(1)[0].numpy()
            for c in range(4):
                for i in range(side):
                    total[c, top + i, left : left + side] += part[c, i]
            seen[top : top + side, left : left + side] += 1
    np.testing.assert_allclose(predictor.probabilities(x)[0].numpy(), total / seen, atol=1e-6)


def test_multi_scale_and_flip_are_the_mean_of_softmax() -> None:
    """Every scale and its mirror count once."""
    net, image = Position(), _images(1, 32, 48)[0]
    scales = (0.5, 1.0, 1.5)
    x = _normalise(torch.from_numpy(image).permute(2, 0, 1)[None])
    with torch.no_grad():
        views = []
        for scale in scales:
            size = (round(32 * scale), round(48 * scale))
            y = nn.functional.interpolate(x, size, mode="bilinear", align_corners=False)
            for z, back in ((y, False), (y.flip(3), True)):
                out = net(z).softmax(1)
                out = out.flip(3) if back else out
                views.append(nn.functional.interpolate(out, (32, 48), mode="bilinear", align_corners=False))
        expected = torch.stack(views).mean(0)
    predictor = Predictor(net, _normalise, evaluation=Evaluation(scales=scales, flip=True))
    torch.testing.assert_close(predictor.probabilities(x), expected, atol=1e-6, rtol=1e-5)
    assert predictor.labels([image])[0].shape == (32, 48)


def test_the_frame_is_zero_after_normalisation_and_cut_off_again() -> None:
    """Padding stands for the mean colour, and no padded pixel is predicted."""
    net, image = Position(), _images(1, 20, 30)[0]
    x = _normalise(torch.from_numpy(image).permute(2, 0, 1)[None])
    with torch.no_grad():
        expected = net(nn.functional.pad(x, (0, 34, 0, 12)))[:, :, :20, :30].argmax(1)[0].numpy()
    got = Predictor(net, _normalise, frame=(32, 64)).labels([image])[0]
    assert (got == expected).all()


def test_counts_are_the_slow_loops() -> None:
    """Counts per image and class equal a loop over pixels; void pixels are not counted."""
    rng = np.random.default_rng(1)
    images = [*_images(3, 16, 24), *_images(2, 10, 12)]
    labels = [rng.choice(np.array([0, 1, 2, 3, 255], np.uint8), im.shape[:2]) for im in images]
    predictor = Predictor(Position(), _normalise)
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
    net = Position().train()
    evaluate_images(Predictor(net, _normalise), [(0, _images(1, 8, 8)[0], np.zeros((8, 8), np.uint8))], 4)
    assert net.training


@pytest.mark.parametrize("processes", [1, 2])
def test_a_refinement_sees_each_image_with_its_softmax(processes: int) -> None:
    """The dense CRF in worker processes: images of two sizes, in order, as each alone is refined."""
    crf = CRF(iterations=2, position_sd=1.0, bilateral_sd=5.0)
    net, images = Position(), [*_images(3, 8, 12), *_images(2, 10, 8)]
    labels = [np.full(image.shape[:2], i % 4, np.uint8) for i, image in enumerate(images)]
    plain = Predictor(net, _normalise)
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
    images = [*_images(5, 18, 27), *_images(2, 10, 12), *_images(3, 18, 27)]
    labels = [_maps(1, *image.shape[:2], seed)[0][0] for seed, image in enumerate(images)]
    predictor = Predictor(Position(), _normalise, frame=(32, 32), evaluation=protocol)
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
    predictor, image = Predictor(Position(), _normalise), _images(1, 8, 8)[0]

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
    cpu = Predictor(Position(), _normalise)
    gpu = replace(cpu, device=torch.device("cuda"))
    assert pixels_at_once(cpu) == evaluator.PIXELS_AT_ONCE
    assert pixels_at_once(gpu) == 80 * 2**30 // 16 // 4096  # seven of 384 x 480
    assert pixels_at_once(replace(gpu, evaluation=Evaluation(scales=(0.5, 1.0, 2.0)))) == 80 * 2**30 // 16 // 4096 // 4


def test_right_answers_are_counted_per_image() -> None:
    """Right in one and right in five, over several passes; no image, no row."""
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 9))
    torch.manual_seed(0)
    nn.init.normal_(net[2].weight)
    images, device = _images(70, 6, 6), torch.device("cpu")
    items = [(i, image, i % 9) for i, image in enumerate(images)]
    steps: list[int] = []
    found = evaluate_classifier(net, _normalise, items, device, progress=steps.append)["top5"]
    assert steps == [64, 70]
    with torch.no_grad():
        for i, image in enumerate(images):
            order = net(_normalise(torch.from_numpy(image).permute(2, 0, 1)[None]))[0].argsort(descending=True)
            assert found[i].tolist() == [int(order[0] == i % 9), int(i % 9 in order[:5])]
    assert evaluate_classifier(net, _normalise, [], device)["top5"].shape == (0, 2)
