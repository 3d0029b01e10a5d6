"""Tests of repro.results.intervals: exact sums, coverage at the nominal rate, agreement with scipy, faults."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from repro.results import intervals, metrics
from repro.results.intervals import Draws, contrast, draw, weights
from tests.support import simulate

METRICS = ("miou", "pixel_acc", "boundary_acc", "internal_acc", "top5_err")


def counts(share: float, seed: int) -> dict[str, simulate.Counts]:
    """Return all kinds of counts at once."""
    return {
        "classes": simulate.classes(share, seed),
        "distance": simulate.distance(share, share, seed),
        "top5": simulate.top5(share, seed),
    }


@pytest.mark.parametrize("metric", METRICS)
def test_value_is_the_metric_itself(metric: str) -> None:
    """The value of a draw is the point score."""
    made = counts(0.6, 3)
    assert draw(metric, made).value == metrics.score(metric, made)


@pytest.mark.parametrize("metric", METRICS)
def test_resample_is_the_metric_of_the_drawn_images(metric: str) -> None:
    """A resampled value equals the metric of a set in which each image stands as often as it was drawn."""
    made = counts(0.6, 1)
    found = draw(metric, made, "set")
    for i in (0, 7, 1999):
        times = weights(simulate.IMAGES, "set")[i].astype(int)
        repeated = {name: np.repeat(array, times, axis=0) for name, array in made.items()}
        assert found.resampled[i] == pytest.approx(metrics.score(metric, repeated), abs=1e-12)


@given(st.integers(1, 60), st.text(max_size=5))
@settings(max_examples=20, deadline=None)
def test_every_resample_draws_as_many_images_as_there_are(images: int, name: str) -> None:
    """Weights are whole numbers that add up to the number of images."""
    drawn = weights(images, name, resamples=50)
    assert (drawn.sum(axis=1) == images).all()
    assert (drawn == np.round(drawn)).all()


def test_bootstrap_spread_agrees_with_scipy() -> None:
    """The images' spread is that of scipy's bootstrap of the same ratio."""
    added = metrics.find("pixel_acc").of(counts(0.6, 2))

    def ratio(right: np.ndarray, seen: np.ndarray, axis: int) -> np.ndarray:
        return right.sum(axis=axis) / seen.sum(axis=axis)

    other = stats.bootstrap(
        (added[:, 0], added[:, 1]),
        ratio,
        paired=True,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(1),
    )
    own = draw("pixel_acc", counts(0.6, 2))
    assert own.resampled.std() == pytest.approx(other.standard_error, rel=0.1)


def still(values: list[float], images: int = 50) -> dict[int, Draws]:
    """Return scores that do not move with the images."""
    return {seed: Draws(value, np.full(intervals.RESAMPLES, value), images) for seed, value in enumerate(values)}


def test_without_image_error_it_is_the_t_interval() -> None:
    """Over seeds alone the interval is scipy's paired t-interval."""
    a, b = [0.50, 0.53, 0.55, 0.51], [0.40, 0.42, 0.46, 0.41]
    found = contrast([(1.0, still(a)), (-1.0, still(b))])
    low, high = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert found.estimate == pytest.approx(0.1)
    assert (found.low, found.high) == (pytest.approx(low, abs=3e-3), pytest.approx(high, abs=3e-3))
    assert found.paired
    assert found.seeds == 4


def test_seeds_that_differ_are_not_paired() -> None:
    """Cells without common seeds are taken as independent, which widens the interval of scores that move together."""
    a, b = [0.50, 0.60, 0.70], [0.40, 0.50, 0.60]
    other = {seed + 10: drawn for seed, drawn in still(b).items()}
    paired, apart = contrast([(1.0, still(a)), (-1.0, still(b))]), contrast([(1.0, still(a)), (-1.0, other)])
    assert paired.paired
    assert not apart.paired
    assert paired.high - paired.low < 1e-9
    assert apart.high - apart.low > 0.1


def test_pairing_over_images_narrows_the_interval() -> None:
    """Two scores that err on the same images differ by less than each moves alone."""
    hard = simulate.classes(0.5, 1)
    easy = hard.copy()
    easy[..., 0] = np.minimum(easy[..., 0] + 5, easy[..., 1])
    one, two = ({0: draw("miou", {"classes": array}, "val")} for array in (hard, easy))
    other = {0: draw("miou", {"classes": easy}, "another set")}
    paired, apart = contrast([(1.0, two), (-1.0, one)]), contrast([(1.0, other), (-1.0, one)])
    assert paired.high - paired.low < 0.5 * (apart.high - apart.low)


def _trial(rng: np.random.Generator, seeds: int, images: int, by_seed: float, by_image: float) -> tuple[float, float]:
    """Return the interval of a difference whose true value is 0.03."""
    hard = rng.normal(0, 0.15, images)
    cells = []
    for better in (0.0, 0.03):
        drawn = {}
        for seed in range(seeds):
            chance = 0.5 + better + rng.normal(0, by_seed) + hard + rng.normal(0, by_image, images)
            seen = np.full(images, 400)
            right = rng.binomial(seen, np.clip(chance, 0, 1))
            drawn[seed] = draw("pixel_acc", {"classes": np.stack([right, seen, seen], axis=1)[:, None, :]}, "val")
        cells.append(drawn)
    found = contrast([(1.0, cells[1]), (-1.0, cells[0])])
    return found.low, found.high


@pytest.mark.parametrize(
    ("seeds", "by_seed", "by_image"),
    [(3, 0.01, 0.05), (3, 0.0, 0.1), (5, 0.02, 0.0), (1, 0.0, 0.05)],
    ids=["both errors", "images only", "seeds only", "one seed, which does not matter"],
)
def test_covers_at_the_nominal_rate(seeds: int, by_seed: float, by_image: float) -> None:
    """Of 400 intervals for a known difference 95 % hold it, give or take three standard errors and a little caution."""
    rng = np.random.default_rng(7)
    trials = [_trial(rng, seeds, 50, by_seed, by_image) for _ in range(400)]
    covered = float(np.mean([low <= 0.03 <= high for low, high in trials]))
    assert 0.917 <= covered <= 0.985


def test_the_wrong_interval_would_not_cover() -> None:
    """The same check refuses intervals over images alone when seeds matter: it can fail."""
    rng = np.random.default_rng(7)
    trials = [_trial(rng, 1, 50, 0.02, 0.0) for _ in range(200)]
    assert np.mean([low <= 0.03 <= high for low, high in trials]) < 0.8


def test_same_seed_same_bytes_another_seed_another_interval() -> None:
    """An interval is a pure function of the records and of the bootstrap's seed."""

    def one(seed: int) -> intervals.Interval:
        drawn = {s: draw("miou", {"classes": simulate.classes(0.5, s)}, "val", seed) for s in range(3)}
        return contrast([(1.0, drawn)], seed=seed)

    assert one(1) == one(1)
    assert one(1).low != one(2).low


def test_more_comparisons_widen_the_corrected_interval_only() -> None:
    """Bonferroni moves the ends that are for several comparisons and leaves the others."""
    cells = [(1.0, {s: draw("miou", {"classes": simulate.classes(0.5, s)}, "val") for s in range(3)})]
    one, ten = contrast(cells), contrast(cells, comparisons=10)
    assert (one.low, one.high) == (ten.low, ten.high) == (one.low_all, one.high_all)
    assert ten.low_all < one.low_all < one.high_all < ten.high_all


@pytest.mark.parametrize("images", [1, 9])
def test_few_images_give_no_interval(images: int) -> None:
    """A bootstrap of a handful of images is no interval: it is nan, never a point."""
    drawn = {s: draw("miou", {"classes": simulate.classes(0.5, s, images=images)}, "val") for s in range(3)}
    found = contrast([(1.0, drawn)])
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.estimate == pytest.approx(np.mean([d.value for d in drawn.values()]))


def test_undefined_resamples_are_left_out() -> None:
    """Where one image alone holds all scored pixels, resamples without it have no score and do not count as zero."""
    made = np.zeros((20, 1, 3), dtype=np.int64)
    made[3, 0] = (50, 100, 100)
    drawn = draw("pixel_acc", {"classes": made}, "val")
    assert np.isnan(drawn.resampled).any()
    found = contrast([(1.0, {0: drawn})])
    assert (found.low, found.high) == (0.5, 0.5)


def test_no_pixel_at_all_is_nan() -> None:
    """An empty set has no score, and its resamples have none."""
    drawn = draw("miou", {"classes": np.zeros((20, 3, 3), dtype=np.int64)}, "val")
    assert math.isnan(drawn.value)
    assert np.isnan(drawn.resampled).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.lists(st.floats(0, 1), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_quantiles_are_numpys_own(values: list[float], at: list[float]) -> None:
    """The ends of an interval are numpy's linear quantiles, bit for bit."""
    assert np.array_equal(intervals.quantiles(np.array(values), at), np.quantile(values, at))


@pytest.mark.parametrize("largest", [1, 9216, 2**24 // 50, 2**40])
def test_sums_in_half_the_width_are_exact(largest: int) -> None:
    """Whole counts give the float64 sums of every resample, below and above what float32 can hold; so do fractions."""
    rng = np.random.default_rng(1)
    for added in (rng.integers(0, largest, (50, 7), endpoint=True).astype(float), rng.random((50, 7)) - 0.5):
        assert np.array_equal(intervals._sums(added, "set", 3), weights(50, "set", 3) @ added)


def test_variance_and_mean_leave_out_what_is_undefined() -> None:
    """With and without nan they are numpy's nanvar and nanmean, bit for bit."""
    rng = np.random.default_rng(2)
    for hole in (False, True):
        values = rng.normal(size=(3, 500))
        values[0, 4:9] = np.nan if hole else 0.0
        assert np.array_equal(intervals._variance(values), np.nanvar(values, axis=1))
        assert intervals._mean(values[0]) == np.nanmean(values[0])
    assert intervals._mean(np.full(3, np.nan)) == 0
