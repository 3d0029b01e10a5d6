"""Infer from the statistics of a weights file which convolution of a bottleneck carries the stride.

He et al. (2015) put the stride of a stage's first bottleneck into its 1 x 1 ``conv1``, torchvision into its 3 x 3
``conv2``; the shapes are equal. A network with the other's weights loses about ten points of ImageNet top-1. With the
stride in ``conv2`` the 3 x 3 reads neighbouring positions, which are more correlated, and the variances behind it are
larger, so the running variances of the file's batch norms fit one placing only.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Literal, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from repro.models.resnet import Bottleneck, ResNet, StrideIn

PICTURES, SIDE = 8, 224
"""Number of training images, and the side that their central square is scaled to."""
CLEAR = 2.0
"""Least ratio of the two distances. Over random sets of eight images of CamVid and VOC it was 2.2 to 5."""
NEAR = 0.25
"""Distance above which the statistics do not fit the images at all (measured: 0.02 to 0.07; random weights: 11)."""
PLACINGS: tuple[StrideIn, StrideIn] = ("conv1", "conv2")


def square(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the central square of an image (h, w, 3), scaled to ``SIDE``, (224, 224, 3)."""
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    middle = np.ascontiguousarray(image[top : top + side, left : left + side])
    return np.asarray(cv2.resize(middle, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def distances(backbone: ResNet, images: Tensor) -> dict[StrideIn, float]:
    """Return for each placing the distance of measured variances from the running variances of res-3's first block.

    The distance is the mean square of the logarithm of their ratio, over the channels of ``layer2.0.bn2`` and ``bn3``.
    The backbone itself is not changed.

    Args:
        backbone: holds the weights, with either placing; on the CPU.
        images: normalised images (n, 3, h, w).

    Returns:
        Empty where res-3 does not begin with a bottleneck of stride 2, so that the placing has no effect.
    """
    first = _first_block(backbone)
    if first is None:
        return {}
    with torch.no_grad():
        x = images
        for part in copy.deepcopy((backbone.conv1, backbone.bn1, backbone.relu, backbone.maxpool, backbone.layer1)):
            x = cast("nn.Module", part).eval()(x)
        return {placing: _distance(copy.deepcopy(first).eval(), x, placing) for placing in PLACINGS}


def _first_block(backbone: ResNet) -> Bottleneck | None:
    block = cast("nn.Sequential", backbone.layer2)[0]
    if not isinstance(block, Bottleneck) or max(*block.conv1.stride, *block.conv2.stride) == 1:
        return None
    return block


def _distance(block: Bottleneck, x: Tensor, placing: StrideIn) -> float:
    first, second = (2, 1) if placing == "conv1" else (1, 2)
    y = block.bn1(functional.conv2d(x, block.conv1.weight, stride=first)).relu()
    y = functional.conv2d(y, block.conv2.weight, stride=second, padding=1)
    z = functional.conv2d(block.bn2(y).relu(), block.conv3.weight)
    return (_apart(block.bn2, y) + _apart(block.bn3, z)) / 2


def _apart(norm: nn.BatchNorm2d, x: Tensor) -> float:
    assert norm.running_var is not None
    ratio = (x.var((0, 2, 3)) + norm.eps) / (norm.running_var + norm.eps)
    return float(ratio.log().square().mean())


def infer(found: Mapping[StrideIn, float]) -> StrideIn | Literal[""]:
    """Return the placing that the distances imply, or an empty string where they are not conclusive."""
    if not found:
        return ""
    near, far = sorted(found, key=found.__getitem__)
    clear = found[near] <= NEAR and found[far] >= CLEAR * found[near]
    return near if clear else ""
