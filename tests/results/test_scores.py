"""Tests of repro.results.scores: scores from records, and everything a record can do wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repro.config.experiment import Run
from repro.results import field_areas, metrics
from repro.results.records import load
from repro.results.scores import Measurement, Scores
from tests.support import simulate

RUN = next(run for run, _ in simulate.runs(simulate.TABLE, simulate.PROFILE).values())


def measure(root: Path, metric: str = "miou", run: Run = RUN) -> Measurement:
    """Return what the records under ``root`` say."""
    return Scores(load({"reference": root})).measure(run.key, "reference", metric)


def test_mean_and_deviation_over_seeds(tmp_path: Path) -> None:
    """Three seeds: the mean and the sample deviation of their scores in points."""
    for seed, share in enumerate((0.4, 0.5, 0.6)):
        simulate.write(tmp_path, RUN, seed, share)
    found = measure(tmp_path)
    by_hand = [
        100 * metrics.score("miou", {"classes": simulate.classes(share, seed)})
        for seed, share in enumerate((0.4, 0.5, 0.6))
    ]
    assert found.values == pytest.approx(by_hand)
    assert found.mean == pytest.approx(np.mean(by_hand))
    assert found.std == pytest.approx(np.std(by_hand, ddof=1))
    assert found.status == "measured"


def test_one_seed_has_no_deviation(tmp_path: Path) -> None:
    """The deviation of one seed is nan, not 0."""
    simulate.write(tmp_path, RUN, 0)
    assert math.isnan(measure(tmp_path).std)


def test_diverged_seeds_are_shown_and_not_averaged(tmp_path: Path) -> None:
    """Two seeds that ended and one that diverged: the mean is of two, the third is still there."""
    simulate.write(tmp_path, RUN, 0, 0.5)
    simulate.write(tmp_path, RUN, 1, 0.5)
    counts = simulate.counts_of(RUN, 0.1, 2)
    simulate.write(tmp_path, RUN, 2, status="diverged", diverged_at=17, counts=counts)
    found = measure(tmp_path)
    assert len(found.values) == 2
    assert [record.seed for record in found.diverged] == [2]
    assert len(found.records) == 3


def test_all_diverged_is_its_own_status(tmp_path: Path) -> None:
    """A cell whose seeds all diverged has no mean and says so."""
    simulate.write(tmp_path, RUN, 0, status="diverged")
    found = measure(tmp_path)
    assert found.status == "diverged"
    assert math.isnan(found.mean)


def test_nothing_scored_is_no_score(tmp_path: Path) -> None:
    """Zero pixels everywhere give nan, never 0."""
    simulate.write(tmp_path, RUN, 0, counts={"classes": np.zeros((12, 3, 3), dtype=np.int64)})
    found = measure(tmp_path)
    assert found.status == "no score"
    assert math.isnan(found.mean)


def test_equal_copies_count_once(tmp_path: Path) -> None:
    """A folder merged twice is one seed."""
    simulate.write(tmp_path, RUN, 0, 0.5)
    simulate.write(tmp_path, RUN, 0, 0.5, name="copy")
    found = measure(tmp_path)
    assert len(found.samples) == 1
    assert not found.faults


def test_records_that_disagree_are_named_and_left_out(tmp_path: Path) -> None:
    """Two results under one key and seed: neither is used, both are named."""
    simulate.write(tmp_path, RUN, 0, 0.5)
    simulate.write(tmp_path, RUN, 0, 0.6, name="other")
    simulate.write(tmp_path, RUN, 1, 0.5)
    found = measure(tmp_path)
    assert [sample.seed for sample in found.samples] == [1]
    assert "other" in found.faults[0]
    assert "disagree" in found.faults[0]


def test_places_are_kept_apart(tmp_path: Path) -> None:
    """A local record never enters the reference's mean."""
    simulate.write(tmp_path / "reference", RUN, 0, 0.4)
    simulate.write(tmp_path / "local", RUN, 0, 0.8)
    evidence = Scores(load({place: tmp_path / place for place in ("reference", "local")}))
    reference, local = (evidence.measure(RUN.key, place, "miou") for place in ("reference", "local"))
    assert reference.mean < 50 < local.mean


@pytest.mark.parametrize(
    "counts",
    [
        {"classes": np.array([[[5, 4, 9]]] * 12)},
        {"classes": np.array([[[-1, 4, 9]]] * 12)},
        {"classes": np.ones((12, 3), dtype=np.int64)},
        {"distance": np.ones((12, 42, 2), dtype=np.int64)},
        {},
        None,
    ],
    ids=["part above whole", "negative", "wrong shape", "other counts", "empty archive", "no file"],
)
def test_counts_that_cannot_be_are_named(tmp_path: Path, counts: Any) -> None:
    """Impossible, misshapen or missing counts give no number and one sentence with the record's name."""
    folder = simulate.write(tmp_path, RUN, 0, counts=counts)
    found = measure(tmp_path)
    assert found.status == "unusable"
    assert len(found.faults) == 1
    assert folder.name in found.faults[0]


@pytest.mark.parametrize("keep", [0, 1, 100, 300])
def test_a_truncated_archive_is_named(tmp_path: Path, keep: int) -> None:
    """Counts cut short at any byte are a fault of that record alone."""
    folder = simulate.write(tmp_path, RUN, 0)
    path = folder / "counts.npz"
    path.write_bytes(path.read_bytes()[:keep])
    assert measure(tmp_path).status == "unusable"


def test_images_lost_on_the_way_are_noticed(tmp_path: Path) -> None:
    """Counts of fewer images than the record says are not used."""
    simulate.write(tmp_path, RUN, 0, test_images=100)
    assert "100" in measure(tmp_path).faults[0]


@pytest.mark.parametrize(
    "changes",
    [{"seed": "first"}, {"seed": None}, {"seed": 1.5}, {"status": "fine"}, {"key": 7}, {"schema": 99}],
    ids=lambda changes: str(*changes.values()),
)
def test_records_without_a_usable_head_are_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A record of another schema or kind is passed over by name, and the others are still read."""
    folder = simulate.write(tmp_path, RUN, 0, name="odd", head=changes)
    simulate.write(tmp_path, RUN, 1)
    evidence = Scores(load({"reference": tmp_path}))
    assert folder.name in evidence.faults[0]
    assert len(evidence.measure(RUN.key, "reference", "miou").samples) == 1


def test_a_record_cut_short_is_named(tmp_path: Path) -> None:
    """Half a record.json is passed over, named, and left in place."""
    path = simulate.write(tmp_path, RUN, 0) / "record.json"
    path.write_text(path.read_text()[: len(json.dumps({})) + 40])
    evidence = Scores(load({"reference": tmp_path}))
    assert path.parent.name in evidence.faults[0]
    assert path.exists()


def test_the_end_of_the_log_is_a_loss(tmp_path: Path) -> None:
    """The training loss is the mean of the last tenth of the logged losses; a short log has none."""
    folder = simulate.write(tmp_path, RUN, 0)
    losses = [float(100 - step) for step in range(100)]
    text = "".join(json.dumps({"step": step, "loss": loss}) + "\n" for step, loss in enumerate(losses))
    (folder / "log.jsonl").write_text(text)
    found = Scores(load({"here": tmp_path})).measure(RUN.key, "here", "train_loss")
    assert found.values == pytest.approx((100 * 5.5,))
    (folder / "log.jsonl").write_text(text.splitlines()[0])
    found = Scores(load({"here": tmp_path})).measure(RUN.key, "here", "train_loss")
    assert (found.status, found.faults) == ("not run", ())


def _areas(folder: Path, area: float, settings: field_areas.Settings | None = None) -> None:
    fields = tuple(field_areas.Field(str(i), (5, 5), 1, 2000, area + i) for i in range(16))
    field_areas.write(folder, field_areas.Areas(folder.name, settings or field_areas.Settings(), (100, 100), fields))


def test_areas_are_shares_of_the_image(tmp_path: Path) -> None:
    """A field's area is told in per cent of the image, with an interval over images; without a file it is not run."""
    folder = simulate.write(tmp_path, RUN, 0)
    evidence = Scores(load({"here": tmp_path}))
    assert evidence.measure(RUN.key, "here", "field_area").status == "not run"
    _areas(folder, 992.5)
    evidence = Scores(load({"here": tmp_path}))
    assert evidence.measure(RUN.key, "here", "field_area").values == pytest.approx((10.0,))
    (record,) = load({"here": tmp_path}).records
    drawn = evidence.draws(record, "field_area")
    assert drawn.images == 16
    assert 0 < drawn.resampled.std() < 0.01


@pytest.mark.parametrize("fault", ["settings", "torn", "too large"])
def test_areas_that_cannot_be_trusted_are_named(tmp_path: Path, fault: str) -> None:
    """Other settings, a torn file and an area larger than its image are faults, not numbers."""
    folder = simulate.write(tmp_path, RUN, 0)
    _areas(
        folder, 1e6 if fault == "too large" else 50.0, field_areas.Settings(stride=5) if fault == "settings" else None
    )
    if fault == "torn":
        (folder / field_areas.FILE).write_text('{"schema"')
    found = Scores(load({"here": tmp_path})).measure(RUN.key, "here", "field_area")
    assert found.status == "unusable"
    assert len(found.faults) == 1
