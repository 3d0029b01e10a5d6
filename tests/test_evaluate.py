"""Evaluation protocols against slow references."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from repro import metrics
from repro.crf import refine, refine_all
from repro.evaluate import background_of, evaluate_images, predicted
from repro.predictor import Predictor, crop_boxes
from repro.spec import CRF, Evaluation


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
    assert 0 <= metrics.miou(counts["classes"]) <= 1


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
