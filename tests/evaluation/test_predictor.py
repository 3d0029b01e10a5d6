"""Tests of repro.evaluation.predictor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from repro.config.experiment import Evaluation
from repro.evaluation.predictor import Predictor, crop_boxes
from tests.support.predictions import PositionNetwork, centred, random_images


def test_crops_of_cityscapes() -> None:
    """Section 4.3: four 1024 squares of a 1024 x 2048 image overlap; they start at 0, 341, 683, 1024."""
    assert [left for _, left, _ in crop_boxes(1024, 2048, 4)] == [0, 341, 683, 1024]
    assert crop_boxes(60, 20, 3) == [(0, 0, 20), (20, 0, 20), (40, 0, 20)]
    with pytest.raises(ValueError, match="ask for more crops"):
        crop_boxes(10, 40, 3)


def test_crops_are_fused_as_a_slow_loop_does() -> None:
    """Each pixel is the mean softmax of the crops that hold it."""
    net, image = PositionNetwork(), random_images(1, 24, 60)[0]
    predictor = Predictor(net, centred, evaluation=Evaluation(crops=4))
    x = centred(torch.from_numpy(image).permute(2, 0, 1)[None])
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
    net, image = PositionNetwork(), random_images(1, 32, 48)[0]
    scales = (0.5, 1.0, 1.5)
    x = centred(torch.from_numpy(image).permute(2, 0, 1)[None])
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
    predictor = Predictor(net, centred, evaluation=Evaluation(scales=scales, flip=True))
    torch.testing.assert_close(predictor.probabilities(x), expected, atol=1e-6, rtol=1e-5)
    assert predictor.labels([image])[0].shape == (32, 48)


def test_the_frame_is_zero_after_normalisation_and_cut_off_again() -> None:
    """Padding stands for the mean colour, and no padded pixel is predicted."""
    net, image = PositionNetwork(), random_images(1, 20, 30)[0]
    x = centred(torch.from_numpy(image).permute(2, 0, 1)[None])
    with torch.no_grad():
        expected = net(nn.functional.pad(x, (0, 34, 0, 12)))[:, :, :20, :30].argmax(1)[0].numpy()
    got = Predictor(net, centred, frame=(32, 64)).labels([image])[0]
    assert (got == expected).all()
