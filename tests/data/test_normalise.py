"""Normalisation and padding, against numpy in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from repro.config.dataset_info import IMAGENET_MEAN, IMAGENET_STD
from repro.data.normalise import normalise
from tests.support.data_files import noise


@pytest.mark.parametrize("sizes", [None, [[5, 4], [6, 8]], [[5, 4], [5, 4]], [[6, 8], [6, 8]]])
def test_normalise_against_numpy(sizes: list[list[int]] | None) -> None:
    """(x / 255 - mean) / std to a rounding, padding exactly zero, channels last."""
    images = torch.from_numpy(noise(0, 2, 6, 8, 3)).permute(0, 3, 1, 2)
    ours = normalise(images, IMAGENET_MEAN, IMAGENET_STD, None if sizes is None else torch.tensor(sizes))
    exact = (images.numpy() / 255.0 - np.reshape(IMAGENET_MEAN, (3, 1, 1))) / np.reshape(IMAGENET_STD, (3, 1, 1))
    theirs = torch.from_numpy(exact).float()
    for j, (h, w) in enumerate(sizes or [[6, 8], [6, 8]]):
        assert torch.allclose(ours[j, :, :h, :w], theirs[j, :, :h, :w], atol=1e-6)
        assert not ours[j, :, h:].any()
        assert not ours[j, :, :, w:].any()
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert ours.dtype == torch.float32
