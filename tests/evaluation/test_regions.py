"""Distances, bands and object sizes, by hand and against scipy; positions kept beside the store."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
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
from repro.results import metrics
from tests.support.data_files import make_voc, noise, save, save_mask

VOID = regions.VOID


def exact(labels: NDArray[np.uint8], distance: str = "euclidean") -> NDArray[np.float64]:
    """Distance to the nearest other label by scipy, label by label; infinite where there is none."""
    out = np.full(labels.shape, np.inf)
    for value in np.unique(labels):
        inside = labels == value
        if not inside.all():
            transform = ndimage.distance_transform_edt if distance == "euclidean" else ndimage.distance_transform_cdt
            out[inside] = transform(inside)[inside]
    return out


def binned(away: NDArray[np.float64], void: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Bins of exact distances: integers squared and compared, so no rounding is involved."""
    square = np.where(np.isfinite(away), np.rint(away**2), 2.0**40)
    bins = np.searchsorted(np.arange(41) ** 2, square, side="left")
    bins[void] = VOID
    return bins


def picture(
    seed: int, shape: tuple[int, int] = (90, 70), values: tuple[int, ...] = (0, 3, 7, 20, VOID)
) -> NDArray[np.uint8]:
    """Smooth patches of a few labels, with a void rim here and there."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(len(values), *shape)), (0, 6, 6))
    return np.asarray(np.array(values, np.uint8)[noise.argmax(axis=0)])


def test_distances_beside_a_straight_edge() -> None:
    """Both pixels beside an edge have distance 1, the next ones 2."""
    labels = np.repeat(np.array([[0, 0, 0, 5, 5]], np.uint8), 3, axis=0)
    assert regions.distance_bins(labels).tolist() == [[3, 2, 1, 1, 2]] * 3


def test_diagonal_distances_round_up() -> None:
    """The square root of 2 lies in (1, 2], 5 = (3, 4) in (4, 5]: an exact whole distance stays in its bin."""
    labels = np.zeros((9, 9), np.uint8)
    labels[0, 0] = 1
    bins = regions.distance_bins(labels)
    assert (bins[1, 1], bins[3, 4], bins[4, 4], bins[0, 0]) == (2, 5, 6, 1)


def test_void_rim_is_an_edge_or_is_filled() -> None:
    """Void between two labels: an edge on both sides, or a true edge in its middle; void is never scored."""
    labels = np.repeat(np.array([[0, 0, VOID, VOID, 1, 1]], np.uint8), 2, axis=0)
    assert regions.distance_bins(labels)[0].tolist() == [2, 1, VOID, VOID, 1, 2]
    assert regions.distance_bins(labels, rim="filled")[0].tolist() == [3, 2, VOID, VOID, 2, 3]
    assert regions.fill_rim(labels)[0].tolist() == [0, 0, 0, 1, 1, 1]


def test_the_disk_has_149_pixels() -> None:
    """Facts: the true disk of radius 7, covered by a square, a diamond and four points."""
    assert regions.disk(7).sum() == 149
    square, diamond, left = regions._cover(7)
    assert (square, diamond, left.sum()) == (3, 3, 4)


def test_bins_and_metrics_agree_on_the_layout() -> None:
    """Both modules stand alone; their one shared number is held here."""
    assert regions.REST + 1 == metrics.BINS


@pytest.mark.parametrize("rim", ["edge", "filled"])
@pytest.mark.parametrize("distance", ["euclidean", "chessboard"])
def test_bins_equal_scipy(rim: Any, distance: Any) -> None:
    """Every pixel of many pictures, all four readings of the region."""
    for seed in range(6):
        labels = picture(seed)
        full = regions.fill_rim(labels, distance) if rim == "filled" else labels
        expected = binned(exact(full, distance), labels == VOID)
        assert (regions.distance_bins(labels, rim, distance) == expected).all()
        for within in (1, 2, 5, 7, 12):
            assert (regions.boundary_band(labels, within, rim, distance) == (expected <= within)).all()


@pytest.mark.parametrize("distance", ["euclidean", "chessboard"])
@pytest.mark.parametrize("touching", [None, (8, 8), (8, 15), (16, 15), (16, 8)])
def test_classes_that_void_separates_equal_scipy(touching: tuple[int, int] | None, distance: Any) -> None:
    """Three squares in void, one pixel wide at the narrowest; then a pixel that touches one of them by a corner."""
    labels = np.full((30, 40), 255, np.uint8)
    labels[9:16, 9:15], labels[9:16, 16:22], labels[18:29, 3:39] = 1, 2, 1
    if touching is not None:
        labels[touching] = 3
    assert regions._apart(labels) is (touching is None)
    away, void = exact(labels, distance), labels == 255
    np.testing.assert_array_equal(regions.distance_bins(labels, "edge", distance), binned(away, void))


def test_large_map_equals_scipy() -> None:
    """1024 x 2048, distances in the hundreds: rounding inside the transform reaches no bin."""
    labels = np.kron(picture(3, (64, 128)), np.ones((16, 16), np.uint8))
    assert (regions.distance_bins(labels) == binned(exact(labels), labels == VOID)).all()


def test_filled_rim_takes_a_nearest_label() -> None:
    """Each void pixel gets a label that is as near as scipy's nearest one; other pixels keep theirs."""
    labels = picture(8)
    filled = regions.fill_rim(labels)
    away = ndimage.distance_transform_edt(labels == VOID)
    for value in np.unique(filled):
        own = ndimage.distance_transform_edt(labels != value)
        assert np.allclose(own[filled == value], away[filled == value], atol=1e-6)
    assert (filled[labels != VOID] == labels[labels != VOID]).all()


maps = hnp.arrays(
    np.uint8, st.tuples(st.integers(0, 20), st.integers(0, 20)), elements=st.sampled_from([0, 1, 9, VOID])
)


@settings(max_examples=80, deadline=None)
@given(labels=maps, within=st.integers(1, 12))
def test_any_map_obeys_the_definition(labels: NDArray[np.uint8], within: int) -> None:
    """No assumption about smoothness: noise, single pixels, empty maps, one label, void only."""
    expected = binned(exact(labels), labels == VOID)
    assert (regions.distance_bins(labels) == expected).all()
    assert (regions.boundary_band(labels, within) == (expected <= within)).all()


def test_one_label_has_no_boundary() -> None:
    """Nothing else in the image: all pixels in the last bin, none in the band, with either rim."""
    labels = np.full((20, 30), 4, np.uint8)
    assert (regions.distance_bins(labels) == regions.REST).all()
    assert not regions.boundary_band(labels).any()
    assert not regions.boundary_band(np.full((4, 4), VOID, np.uint8), rim="filled").any()


def test_counts_by_distance_equal_slow_loop() -> None:
    """Right and seen of each bin, pixel by pixel; the whole is every scored pixel."""
    labels = picture(1)
    pred = np.where(np.random.default_rng(0).random(labels.shape) < 0.3, 3, labels)
    bins = regions.distance_bins(labels)
    slow = np.zeros((regions.REST + 1, 2), np.int64)
    for label, guess, where in zip(labels.ravel(), pred.ravel(), bins.ravel(), strict=True):
        if label != VOID:
            slow[where] += (label == guess, 1)
    found, _ = regions.region_counts(labels, pred, regions.region_codes(labels))
    assert (found == slow).all()
    assert found[:, 1].sum() == (labels != VOID).sum()
    band = regions.boundary_band(labels)
    assert metrics.score("boundary_acc", {"distance": found[None]}) == pytest.approx((labels == pred)[band].mean())
    assert metrics.boundary_share(found[None]) == pytest.approx(band.sum() / (labels != VOID).sum())


def test_size_counts_by_hand() -> None:
    """A patch of 4 pixels, one of 1 pixel, and the same class apart from both: two objects, sizes 2 and 0."""
    labels = np.zeros((6, 6), np.uint8)
    labels[0:2, 0:2] = 3
    labels[5, 5] = 3
    pred = labels.copy()
    pred[0, 0] = 0
    _, counts = regions.region_counts(labels, pred, regions.region_codes(labels))
    assert counts[2].tolist() == [3, 4]
    assert counts[0].tolist() == [1, 1]
    assert counts[:, 1].sum() == 5
    _, every = regions.region_counts(labels, pred, regions.region_codes(labels, background=None))
    assert every[:, 1].sum() == 36


def test_diagonal_neighbours_are_one_object() -> None:
    """Eight neighbours, and exactly 2^s pixels open size s."""
    labels = np.eye(8, dtype=np.uint8)
    assert regions.region_counts(labels, labels, regions.region_codes(labels))[1][3].tolist() == [8, 8]


@pytest.mark.parametrize(
    ("labels", "options", "says"),
    [
        (np.zeros((2, 3, 4), np.uint8), {}, r"needs a map \(h, w\)"),
        (np.zeros((2, 3)), {}, "float64"),
        (np.full((2, 3), 256), {}, "0..255"),
        (np.zeros((2, 3), np.uint8), {"rim": "round"}, "'round'"),
        (np.zeros((2, 3), np.uint8), {"distance": "taxi"}, "'taxi'"),
    ],
)
def test_maps_without_regions_are_refused(labels: Any, options: Any, says: str) -> None:
    """One sentence that names the shape, the value or the option, from both functions."""
    for function in (regions.distance_bins, regions.boundary_band):
        with pytest.raises(RegionError, match=says):
            function(labels, **options)


def test_other_faults_are_refused() -> None:
    """A band of no width, and maps that do not belong together."""
    with pytest.raises(RegionError, match="within"):
        regions.boundary_band(np.zeros((2, 3), np.uint8), within=0)
    with pytest.raises(RegionError, match="differ in shape"):
        regions.region_counts(np.zeros((2, 3), np.uint8), np.zeros((3, 2)), np.zeros((2, 3), np.uint16))


@pytest.mark.realdata
@pytest.mark.skipif("REPRO_DATA" not in os.environ, reason="REPRO_DATA is unset: no VOC masks to check")
def test_every_voc_mask_equals_scipy() -> None:
    """Evenly drawn masks of VOC and SBD (300; REPRO_ALL=1: all 12,031): band and bins are scipy's, pixel by pixel."""
    folder = Path(os.environ["REPRO_DATA"]) / "VOCdevkit/VOC2012/SegmentationClassAug"
    paths = sorted(folder.glob("*.png"))
    assert paths, f"{folder} holds no masks"
    step = 1 if os.environ.get("REPRO_ALL") else max(1, len(paths) // 300)
    near = seen = 0
    for path in paths[::step]:
        labels = _palette(path)
        expected = binned(exact(labels), labels == VOID)
        band = regions.boundary_band(labels)
        assert (regions.distance_bins(labels) == expected).all(), path.name
        assert (band == (expected <= 7)).all(), path.name
        near, seen = near + int(band.sum()), seen + int((labels != VOID).sum())
    print(f"{len(paths[::step])} masks, boundary share {near / seen:.4f}")  # noqa: T201 - the number is wanted
    assert 0.05 < near / seen < 0.25


def _palette(path: Path) -> NDArray[np.uint8]:
    """Read a palette PNG's indices."""
    with Image.open(path) as image:
        return np.array(image, np.uint8)


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
