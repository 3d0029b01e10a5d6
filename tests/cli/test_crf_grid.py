"""`repro crf-grid`: parameters are tried on training images, and CRF takes the views that a store gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from repro import data, models
from repro.cli import crf_grid
from repro.config import profiles
from repro.config.errors import RecordError
from repro.config.experiment import CRF, Training
from repro.config.networks import GCN, Conv1x1, Model
from repro.evaluation import crf
from repro.evaluation.confusion import class_counts
from repro.evaluation.trained_model import Trained
from repro.models import Network
from repro.results import metrics
from repro.results.records import Record


def _model(role: str = "voc") -> Trained:
    run = profiles.get("shapes").resolve(Training(Model(GCN(3) if role == "voc" else Conv1x1()), role))
    assert run is not None
    torch.manual_seed(0)
    net = models.build(run.model, 6, head_std=1.0).eval()
    assert isinstance(net, Network)
    classes = data.load("shapes", "fine").classes
    return Trained(Record(Path("x"), {}, "local"), run, net, classes, ())


def test_views_of_a_mapped_store_are_refined() -> None:
    """A read-only image gives the same labels as its copy."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    softmax = rng.dirichlet(np.ones(4), (24, 32)).transpose(2, 0, 1).astype(np.float32)
    view = image.view()
    view.flags.writeable = False
    np.testing.assert_array_equal(crf.refine(softmax, view, CRF()), crf.refine(softmax, image, CRF()))


def test_the_grid_is_sorted_and_holds_no_crf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting and none, best first; the score without CRF is that of the averaged softmax alone."""
    settings = [CRF(), replace(CRF(), bilateral_w=1.0)]
    monkeypatch.setattr(crf_grid, "grid", lambda: iter(settings))
    model, dataset = _model(), data.load("shapes", "fine")
    found = crf_grid.search(model, dataset, 3)
    assert {tried.crf for tried in found} == {None, *settings}
    assert [tried.miou for tried in found] == sorted((tried.miou for tried in found), reverse=True)
    counts = [
        class_counts(labels, crf_grid.probabilities(model, image).argmax(0).astype(np.uint8), 6)
        for image, labels in (dataset.read(i) for i in range(3))
    ]
    plain = next(tried.miou for tried in found if tried.crf is None)
    assert plain == pytest.approx(metrics.score("miou", {"classes": np.stack(counts)}))


def test_wide_images_are_covered_by_squares() -> None:
    """Where training took random squares, the maps are fused from squares, at the image's own size."""
    image, _ = data.load("shapes", "wide").read(0)
    found = crf_grid.probabilities(_model("cityscapes"), image)
    assert found.shape == (6, 96, 192)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-4)


def test_the_whole_grid_holds_the_usual_parameters() -> None:
    """Pydensecrf's own example is among what is tried, and nothing twice."""
    tried = list(crf_grid.grid())
    assert CRF() in tried
    assert len(set(tried)) == len(tried)


def test_an_unknown_record_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no record has this key"):
        crf_grid.show(Console(quiet=True), "x", 4, None, tmp_path, as_json=False)
