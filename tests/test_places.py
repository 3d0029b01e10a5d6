"""Where pixels lie, kept beside the store: the same counts, and found again where the file is not whole."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import make_voc, noise, save, save_mask
from numpy.typing import NDArray
from torch import nn

from repro.config.errors import RegionError
from repro.data import load
from repro.data.cache import Store, open_store
from repro.data.dataset import Bytes
from repro.data.loader import eval_images
from repro.evaluation import regions
from repro.evaluation.evaluator import evaluate_images
from repro.evaluation.predictor import Predictor
from repro.evaluation.regions import stored_region_codes


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three images of three sizes, with void."""
    home = make_voc(tmp_path / "data")
    for i, (name, size) in enumerate({"b": (7, 30), "c": (40, 52)}.items()):
        save(noise(i, *size, 3), home / f"JPEGImages/{name}.jpg")
        mask = noise(i, *(side // 3 + 1 for side in size), top=4)
        mask[mask == 3] = regions.VOID
        save_mask(mask.repeat(3, 0).repeat(3, 1)[: size[0], : size[1]], home / f"SegmentationClass/{name}.png")
    return open_store(load("voc", "trainval", tmp_path / "data"), tmp_path / "cache")


class Brightest(nn.Module):
    """Predicts the brightest channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the image as scores."""
        return x


def right_seen(labels: Bytes, pred: Bytes, bins: Bytes, number: int) -> NDArray[np.int64]:
    """Count pixels right and seen bin by bin, (number, 2)."""
    return np.array([[(pred == labels)[bins == b].sum(), (bins == b).sum()] for b in range(number)])


@pytest.mark.parametrize("background", [0, None])
@pytest.mark.parametrize("distance", ["euclidean", "chessboard"])
@pytest.mark.parametrize("rim", ["edge", "filled"])
def test_kept_places_count_as_distance_and_size_do(
    store: Store, rim: regions.Rim, distance: regions.Distance, background: int | None
) -> None:
    """Both tables, from one count over places, equal those counted one by one; the file is read the second time."""
    for _ in range(2):
        kept = stored_region_codes(store, rim, distance, background)
        assert kept is not None
        for i, places in enumerate(kept):
            labels = store.labels(i)
            pred = np.where(noise(i, *labels.shape, top=2) == 1, labels, 1).astype(np.uint8)
            near, large = regions.region_counts(labels, pred, places)
            bins = regions.distance_bins(labels, rim, distance)
            np.testing.assert_array_equal(near, right_seen(labels, pred, bins, regions.REST + 1))
            sizes = regions.size_bins(labels, background)
            np.testing.assert_array_equal(large, right_seen(labels, pred, sizes, regions.SIZES))


def test_evaluation_counts_the_same_with_and_without_the_file(store: Store) -> None:
    """Every share of the images finds its own places."""
    predictor = Predictor(Brightest(), torch.Tensor.float)
    kept = stored_region_codes(store, "edge", "euclidean", 0)
    for rank in range(2):
        items = list(eval_images(store, rank=rank, world=2))
        found, fresh = (evaluate_images(predictor, items, 21, codes=codes) for codes in (kept, None))
        assert all((found[name] == fresh[name]).all() for name in fresh)


def garble(path: Path) -> None:
    """Flip one bit."""
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def halve(path: Path) -> None:
    """Cut a file in half."""
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [garble, halve, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_is_found_again(store: Store, damage: Callable[[Path], None]) -> None:
    """A flipped bit, half a file, none of it."""
    first = [np.array(part) for part in stored_region_codes(store, "edge", "euclidean", 0) or ()]
    (path,) = store.folder.glob("places*.bin")
    damage(path)
    again = stored_region_codes(store, "edge", "euclidean", 0)
    assert again is not None
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_labels_have_a_file_of_their_own(store: Store) -> None:
    """The name holds the store's fingerprint and the options."""
    stored_region_codes(store, "edge", "euclidean", 0)
    stored_region_codes(replace(store, fingerprint="another"), "edge", "euclidean", 0)
    stored_region_codes(store, "filled", "euclidean", None)
    assert len(list(store.folder.glob("places*.bin"))) == 3


def test_a_folder_that_cannot_be_written_is_said(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning, nothing left behind, and evaluations find the places themselves."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with caplog.at_level(logging.WARNING):
        assert stored_region_codes(store, "edge", "euclidean", 0) is None
    assert "cannot be written (No space left on device)" in caplog.text
    assert not [path for path in store.folder.glob("places*") if path.suffix != ".lock"]


def test_maps_of_other_shapes_are_refused() -> None:
    """One sentence with the three shapes."""
    square = np.zeros((2, 2), np.uint8)
    with pytest.raises(RegionError, match="differ in shape"):
        regions.region_counts(square, square, np.zeros((2, 3), np.uint16))
