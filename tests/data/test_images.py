"""Tests of repro.data.images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro.config import dataset_info
from repro.data import images

SHAPES = dataset_info.get("shapes")


CLASSES, PALETTE = SHAPES.classes, SHAPES.palette


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "I;16", "CMYK"])
def test_pictures_of_every_kind_are_read(mode: str, tmp_path: Path) -> None:
    """Grey, black and white, palette, alpha, 16 bits and CMYK become RGB of the same size."""
    grey = np.tile(np.arange(0, 250, 10, dtype=np.uint8), (20, 1))
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(grey).convert("RGB").convert(mode)
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    image.save(path)
    found = images.read_picture(path)
    assert (found.shape, found.dtype) == ((20, 25, 3), np.uint8)
    if mode not in {"1", "P", "CMYK"}:
        assert np.array_equal(found[..., 1], grey)


def test_alpha_is_laid_over_white(tmp_path: Path) -> None:
    """A transparent pixel is white, half a black one grey."""
    Image.fromarray(np.array([[[0, 0, 0, 0], [0, 0, 0, 128], [9, 8, 7, 255]]], np.uint8)).save(tmp_path / "x.png")
    assert images.read_picture(tmp_path / "x.png").tolist() == [[[255] * 3, [127] * 3, [9, 8, 7]]]


def test_colours_of_labels() -> None:
    """Labels get their palette, void is white; black background leaves the picture as it is."""
    labels = np.array([[0, 1, 255]], np.uint8)
    assert images.coloured(labels, PALETTE).tolist() == [[[0, 0, 0], [230, 80, 60], [255, 255, 255]]]
    image = np.full((1, 3, 3), 100, np.uint8)
    over = images.overlay(image, labels, PALETTE)
    assert over[0, 0].tolist() == [100, 100, 100]
    assert over[0, 1].tolist() == [round(0.45 * 100 + 0.55 * c) for c in PALETTE[1]]
