"""Dense CRF: what it must change, the plain call as reference, several processes, then faults."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, special

from repro.config.errors import CRFError
from repro.config.experiment import CRF
from repro.evaluation import crf

densecrf = pytest.importorskip("pydensecrf.densecrf")
Floats = NDArray[np.float32]


def scene(seed: int, classes: int = 21, shape: tuple[int, int] = (60, 80)) -> tuple[Floats, NDArray[np.uint8]]:
    """A picture of three coloured patches, and probabilities as a blurred, unsure network gives them."""
    rng = np.random.default_rng(seed)
    patches = ndimage.gaussian_filter(rng.normal(size=(3, *shape)), (0, 9, 9)).argmax(axis=0)
    colors = rng.integers(30, 220, (3, 3))[patches] + rng.normal(0, 8, (*shape, 3))
    names = rng.choice(classes, 3, replace=False)
    logits = ndimage.gaussian_filter(rng.normal(size=(classes, *shape)), (0, 6, 6)) * 12
    for patch, name in enumerate(names):
        logits[name] += 9 * ndimage.gaussian_filter((patches == patch).astype(float), 4)
    return special.softmax(logits, axis=0).astype(np.float32), colors.clip(0, 255).astype(np.uint8)


def plainly(probabilities: Floats, image: NDArray[np.uint8], values: CRF) -> NDArray[np.int64]:
    """Pydensecrf's own example, all labels."""
    count, height, width = probabilities.shape
    field = densecrf.DenseCRF2D(width, height, count)
    field.setUnaryEnergy(np.ascontiguousarray(-np.log(np.maximum(probabilities, 1e-10)).reshape(count, -1), np.float32))
    field.addPairwiseGaussian(sxy=values.position_sd, compat=values.position_w)
    field.addPairwiseBilateral(
        sxy=values.bilateral_sd, srgb=values.bilateral_color_sd, rgbim=image, compat=values.bilateral_w
    )
    best: NDArray[np.int64] = np.array(field.inference(values.iterations)).argmax(axis=0)
    return best.reshape(height, width)


def test_edges_move_to_the_colours() -> None:
    """A map that is unsure two pixels beside a colour edge gets its edge there."""
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 200
    right = np.clip((np.arange(40) - 16.5) / 8 + 0.5, 0.05, 0.95)
    probabilities = np.broadcast_to(np.stack([1 - right, right])[:, None], (2, 40, 40)).astype(np.float32)
    assert probabilities.argmax(0)[0].sum() == 23
    labels = crf.refine(probabilities, image, CRF())
    assert (labels == (image[..., 0] > 0)).all()
    assert labels.dtype == np.uint8


def test_one_supported_label_fills_the_image() -> None:
    """Where a single label is left there is nothing to infer."""
    probabilities = np.full((4, 8, 9), 0.02, np.float32)
    probabilities[2] = 0.94
    assert (crf.refine(probabilities, np.zeros((8, 9, 3), np.uint8), CRF()) == 2).all()


def test_support_by_hand() -> None:
    """Best somewhere, or 0.2 somewhere: kept; else left out."""
    probabilities = np.array([[[0.7, 0.6]], [[0.2, 0.05]], [[0.1, 0.19]], [[0.0, 0.16]]])
    assert crf.supported(probabilities).tolist() == [0, 1]
    few = np.array([[[0.1, 0.19]], [[0.12, 0.17]], *[[[0.078, 0.064]]] * 10])
    assert crf.supported(few).tolist() == [0, 1]


@pytest.mark.parametrize("values", [CRF(), CRF(5, 3.0, 3.0, 4.0, 67.0, 3.0)], ids=["example", "deeplab"])
def test_labels_left_out_change_nothing(values: CRF) -> None:
    """Against the plain call: at most 0.01 % of the pixels of ten scenes differ, and labels are really left out."""
    differ = pixels = left_out = moved = 0
    for seed in range(10):
        probabilities, image = scene(seed)
        expected = plainly(probabilities, image, values)
        left_out += len(probabilities) - len(crf.supported(probabilities))
        differ += int((crf.refine(probabilities, image, values) != expected).sum())
        moved += int((expected != probabilities.argmax(axis=0)).sum())
        pixels += expected.size
    assert differ <= 1e-4 * pixels
    assert left_out > 50
    assert moved > 0.01 * pixels


def test_with_every_label_kept_it_is_the_plain_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """No label left out: equal at every pixel."""
    monkeypatch.setattr(crf, "supported", lambda probabilities: np.arange(len(probabilities)))
    probabilities, image = scene(3)
    assert (crf.refine(probabilities, image, CRF()) == plainly(probabilities, image, CRF())).all()


def test_processes_give_the_same_maps_in_order() -> None:
    """Two workers, images of different sizes, more images than may wait: the maps of one process, in order."""
    pairs = [scene(seed, shape=(40 + seed, 50)) for seed in range(7)]
    alone = list(crf.refine_all(iter(pairs), CRF(), 1))
    both = list(crf.refine_all(iter(pairs), CRF(), 2))
    assert [labels.shape for labels in both] == [(40 + seed, 50) for seed in range(7)]
    assert all((a == b).all() for a, b in zip(alone, both, strict=True))


def test_images_are_drawn_when_they_are_needed() -> None:
    """A lazy source is read four images ahead of two processes, no further."""
    drawn = []
    source = (drawn.append(seed) or scene(seed) for seed in range(20))  # type: ignore[func-returns-value]
    maps = crf.refine_all(source, CRF(iterations=1), 2)
    next(maps)
    assert len(drawn) == 4
    maps.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image": np.zeros((5, 4, 3), np.uint8)}, "image of the map's size"),
        ({"image": np.zeros((4, 5, 3))}, "uint8"),
        ({"probabilities": np.zeros((4, 5))}, r"\(c, h, w\)"),
        ({"probabilities": np.full((2, 4, 5), np.nan)}, "0..1"),
        ({"probabilities": np.full((2, 4, 5), -3.0)}, "a softmax, not scores"),
        ({"crf": replace(CRF(), iterations=0)}, "one iteration"),
        ({"crf": replace(CRF(), bilateral_sd=0.0)}, "deviations above 0"),
    ],
)
def test_bad_input_is_refused(change: dict[str, Any], says: str) -> None:
    """One sentence, whether one image is refined or many."""
    given = {"probabilities": np.full((2, 4, 5), 0.5), "image": np.zeros((4, 5, 3), np.uint8), "crf": CRF(), **change}
    with pytest.raises(CRFError, match=says):
        crf.refine(**given)
    with pytest.raises(CRFError, match=says):
        list(crf.refine_all([(given["probabilities"], given["image"])], given["crf"], 2))


def test_missing_library_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pydensecrf: the command that installs it; and no work for no process."""
    with pytest.raises(CRFError, match="at least one process"):
        list(crf.refine_all([], CRF(), 0))
    monkeypatch.setitem(sys.modules, "pydensecrf", None)
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    with pytest.raises(CRFError, match=r"pip install .gcn-repro\[crf\]"):
        crf.refine(*scene(0), CRF())
