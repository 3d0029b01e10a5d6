"""Scores from counts: exact facts, torchmetrics and slow loops, then what has no score."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from repro.config.errors import MetricError
from repro.evaluation.confusion import class_counts, confusion
from repro.paper.tables import all_tables
from repro.results import metrics
from tests.support.label_maps import blobs

VOID = 255


def test_three_pixels_by_hand() -> None:
    """Two right, one wrong: IoU 1/2 and 1/2, accuracy 2/3; the void pixel is not there."""
    counts = class_counts(np.array([0, 0, 1, VOID]), np.array([0, 1, 1, 1]), 3)
    assert counts.tolist() == [[1, 1, 2], [1, 2, 1], [0, 0, 0]]
    each = metrics.class_iou(counts.reshape(-1))
    assert each[:2].tolist() == [0.5, 0.5]
    assert math.isnan(each[2])
    assert metrics.score("miou", {"classes": counts[None]}) == 0.5
    assert metrics.score("pixel_acc", {"classes": counts[None]}) == pytest.approx(2 / 3)


def test_miou_is_pooled_not_averaged_per_image() -> None:
    """One image all right (1 pixel), one half wrong (8 pixels): pooled 5/9, per image 3/4."""
    counts = np.array([[[1, 1, 1]], [[4, 4, 8]]])
    assert metrics.score("miou", {"classes": counts}) == pytest.approx(5 / 9)


def test_class_only_predicted_counts_as_zero() -> None:
    """A class that no label has is a mistake where it is predicted, and absent elsewhere."""
    counts = np.array([[[4, 4, 5], [0, 1, 0], [0, 0, 0]]])
    assert metrics.score("miou", {"classes": counts}) == pytest.approx((0.8 + 0.0) / 2)


def test_iou_and_accuracy_equal_torchmetrics() -> None:
    """The second library, on a set with void and with classes that never occur."""
    torch = pytest.importorskip("torch")
    classification = pytest.importorskip("torchmetrics.classification")
    labels = np.stack([blobs(seed, (50, 70), 7) for seed in range(4)])
    pred = np.stack([blobs(seed + 90, (50, 70), 7) for seed in range(4)])
    labels[:, 20:22] = VOID
    counts = np.stack([class_counts(a, b, 9) for a, b in zip(labels, pred, strict=True)])
    matrix = classification.MulticlassConfusionMatrix(9, ignore_index=VOID)(
        torch.tensor(pred), torch.tensor(labels).long()
    )
    jaccard = classification.MulticlassJaccardIndex(9, average="none", ignore_index=VOID)
    theirs = jaccard(torch.tensor(pred), torch.tensor(labels).long()).numpy()
    ours = metrics.class_iou(counts.sum(axis=0).reshape(-1))
    there = ~np.isnan(ours)
    assert (matrix.numpy() == confusion(labels, pred, 9)).all()
    assert np.allclose(theirs[there], ours[there], atol=1e-6)
    assert metrics.score("pixel_acc", {"classes": counts}) == pytest.approx(
        (pred == labels).sum() / (labels != VOID).sum()
    )


def test_regions_share_out_every_pixel() -> None:
    """Distances 1 to 7 are the boundary, 8 and more the inside."""
    distance = np.zeros((2, metrics.BINS, 2), np.int64)
    distance[0, 7] = 3, 4
    distance[1, 8] = 5, 6
    distance[1, 41] = 0, 2
    assert metrics.score("boundary_acc", {"distance": distance}) == 3 / 4
    assert metrics.score("internal_acc", {"distance": distance}) == 5 / 8
    assert metrics.boundary_share(distance) == 4 / 12


def test_top5_error() -> None:
    """Three of four images have their class among the best five."""
    assert metrics.score("top5_err", {"top5": np.array([[1, 1], [0, 1], [0, 0], [1, 1]])}) == 0.25


def test_score_finds_each_metric() -> None:
    """Every row of the registry gives the value that is computed by hand."""
    distance = np.ones((1, metrics.BINS, 2), np.int64)
    distance[0, :9, 0] = 0
    counts = {
        "classes": np.array([[[1, 2, 3]]]),
        "distance": distance,
        "top5": np.array([[0, 1]]),
        "fields": np.array([[10, 50], [20, 50]]),
        "loss": np.array([[0.5, 1.0], [0.7, 1.0]]),
    }
    found = {name: metrics.score(name, counts) for name in metrics.METRICS}
    assert found == {
        "miou": 0.25, "pixel_acc": pytest.approx(1 / 3), "boundary_acc": 0.0, "internal_acc": 33 / 34, "top5_err": 0.0,
        "field_area": 0.3, "train_loss": pytest.approx(0.6),
    }  # fmt: skip


def test_tables_show_registered_metrics() -> None:
    """A metric that a table names is a row of the registry."""
    shown = {score.metric for table in all_tables().values() for score in table.scores()}
    assert shown <= set(metrics.METRICS)
    assert {metric.name: metric for metric in metrics.METRICS.values()} == metrics.METRICS


def test_main_metric_is_the_first_that_the_counts_give() -> None:
    """MIoU for a segmentation, the top-5 error for a classification, mIoU where there are no counts."""
    empty = np.zeros((0, 2), np.int64)
    found = [metrics.main(dict.fromkeys(names, empty)).name for names in (("distance", "classes"), ("top5",), ())]
    assert found == ["miou", "top5_err", "miou"]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_nothing_counted_is_nan(n: int) -> None:
    """No image, or images without a scored pixel: nan, never 0."""
    counts = {"classes": np.zeros((n, 4, 3), np.int64), "distance": np.zeros((n, metrics.BINS, 2), np.int64)}
    for name in ("miou", "pixel_acc", "boundary_acc", "internal_acc"):
        assert math.isnan(metrics.score(name, counts))
    assert math.isnan(metrics.boundary_share(counts["distance"]))
    assert math.isnan(metrics.score("top5_err", {"top5": np.zeros((0, 2), np.int64)}))


pixels = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=24), elements=st.integers(0, 4)
)


@settings(max_examples=80, deadline=None)
@given(pred=pixels, data=st.data())
def test_counts_obey_their_laws(pred: NDArray[np.uint8], data: st.DataObject) -> None:
    """For any maps: counts add up, scores stay in [0, 1] or are nan exactly where nothing was seen."""
    labels = data.draw(hnp.arrays(np.uint8, pred.shape, elements=st.sampled_from([0, 1, 2, 3, 4, VOID])))
    counts = class_counts(labels, pred, 6)
    scored = int((labels != VOID).sum())
    assert counts[:, 1].sum() == counts[:, 2].sum() == scored
    assert counts[:, 0].sum() == ((labels == pred) & (labels != VOID)).sum()
    each = metrics.class_iou(counts.reshape(-1))
    miou, pixel_acc = (metrics.score(name, {"classes": counts[None]}) for name in ("miou", "pixel_acc"))
    present = np.array([((labels == c) | ((pred == c) & (labels != VOID))).any() for c in range(6)])
    assert (np.isnan(each) == ~present).all()
    assert math.isnan(miou) == (scored == 0)
    assert math.isnan(pixel_acc) == (scored == 0)
    assert scored == 0 or 0.0 <= miou <= 1.0


@settings(max_examples=40, deadline=None)
@given(counts=hnp.arrays(np.int64, (5, metrics.BINS), elements=st.integers(0, 9)))
def test_boundary_and_inside_pool_to_the_whole(counts: NDArray[np.int64]) -> None:
    """Weighted by its share, each region gives back the accuracy over all pixels."""
    distance = np.stack([counts // 2, counts], axis=2)
    share = metrics.boundary_share(distance)
    near, far = (metrics.score(name, {"distance": distance}) for name in ("boundary_acc", "internal_acc"))
    if not counts.sum():
        assert math.isnan(share)
        return
    whole = (counts // 2).sum() / counts.sum()
    assert np.nansum([share * near, (1 - share) * far]) == pytest.approx(whole)


@pytest.mark.parametrize(
    ("labels", "pred", "num_classes", "says"),
    [
        (np.zeros((2, 2), int), np.zeros((2, 3), int), 3, "differ in shape"),
        (np.array([[7]]), np.array([[0]]), 3, "labels: value 7"),
        (np.array([[-1]]), np.array([[0]]), 3, "labels: needs whole numbers"),
        (np.array([[0]]), np.array([[3]]), 3, "prediction: class 3"),
        (np.array([[0]]), np.array([[0.5]]), 3, "prediction: needs whole numbers"),
        (np.array([[0]]), np.array([[0]]), 0, "num_classes"),
        (np.array([[0]]), np.array([[0]]), 256, "num_classes"),
    ],
)
def test_maps_without_counts_are_refused(labels: Any, pred: Any, num_classes: int, says: str) -> None:
    """One sentence that names the map and the value."""
    with pytest.raises(MetricError, match=says):
        confusion(labels, pred, num_classes)


def test_counts_without_scores_are_refused() -> None:
    """Wrong shape, wrong kind, unknown metric, counts not recorded."""
    with pytest.raises(MetricError, match="classes: needs integer counts"):
        metrics.score("miou", {"classes": np.zeros((3, 3), np.int64)})
    with pytest.raises(MetricError, match="float64"):
        metrics.boundary_share(cast("Any", np.zeros((1, metrics.BINS, 2))))
    with pytest.raises(MetricError, match="'f1' is unknown"):
        metrics.score("f1", {})
    with pytest.raises(MetricError, match="needs the counts 'distance'"):
        metrics.score("boundary_acc", {"classes": np.zeros((1, 2, 3), np.int64)})
