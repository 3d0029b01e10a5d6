"""Intervals for differences of scores: seeds by Student's t, images by the bootstrap of stored counts, both paired.

An interval answers: had the networks been trained with other seeds and tested on other images of the same kind, how far
would the difference move? Both sources are drawn and added: the mean over n seeds moves like ``s / sqrt(n) * t(n - 1)``
(resampling three seeds themselves would give intervals that are far too short), the images move like the bootstrap of
the per-image counts, from which the pooled score is computed anew. All cells of a comparison share seeds and images.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.results import metrics
from repro.results.metrics import Floats

RESAMPLES = 2000
"""Bootstrap resamples of the images."""
REPEATS = 5
"""Draws of the seeds' error for each resample."""
_EXACT = 2.0**24
"""Below it float32 represents every whole number."""
FEWEST_IMAGES = 10
"""Fewer images give no interval: their bootstrap would be far too narrow."""
SEED = 20170308
"""Seed of the bootstrap: the same records give the same bytes."""


@dataclass(frozen=True)
class Interval:
    """A two-sided interval for a difference, in the unit of the scores.

    ``seeds`` is the number of seeds behind it: with one, it is over images only.
    """

    estimate: float
    low: float
    high: float
    low_all: float
    """Lower end at the level divided by the number of comparisons (Bonferroni)."""
    high_all: float
    seeds: int
    images: int
    paired: bool


@dataclass(frozen=True)
class Draws:
    """A score of one seed: its value, and its values on the resampled images, (resamples,)."""

    value: float
    resampled: Floats
    images: int


@lru_cache(maxsize=8)
def weights(images: int, name: str = "", seed: int = SEED, resamples: int = RESAMPLES) -> Floats:
    """Return how often each image is drawn in each resample, (resamples, images).

    The same ``name`` (of a test set) gives the same weights, which pairs every score on it.
    """
    if not images:
        return np.zeros((resamples, 0))
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), images])
    drawn = rng.integers(0, images, size=(resamples, images), dtype=np.int32)  # a fifth of the time of a multinomial
    drawn += np.arange(0, resamples * images, images, dtype=np.int32)[:, None]
    return np.bincount(drawn.reshape(-1), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


@lru_cache(maxsize=8)
def _single(images: int, name: str, seed: int) -> NDArray[np.float32]:
    """Return the same weights in float32."""
    return weights(images, name, seed).astype(np.float32)


def _sums(added: Floats, name: str, seed: int) -> Floats:
    """Return the sums of every resample, (resamples, q), from the summands of each image, (n, q).

    Whole numbers are multiplied in float32, twice as fast, where no sum can reach 2^24: every step is exact there, so
    the sums are those of float64, bit for bit.
    """
    images = len(added)
    if added.size and added.min() >= 0 and images * added.max() < _EXACT and (added == np.floor(added)).all():
        return (_single(images, name, seed) @ added.astype(np.float32)).astype(np.float64)
    return weights(images, name, seed) @ added


def draw(metric: str, counts: Mapping[str, NDArray[Any]], name: str = "", seed: int = SEED) -> Draws:
    """Return a score and its resampled values, as fractions.

    Args:
        metric: a name among ``metrics.METRICS``.
        counts: a record's raw counts.
        name: the test set; scores on the same one are paired.
        seed: of the bootstrap.
    """
    chosen = metrics.find(metric)
    return resample(chosen.reduce, chosen.of(counts), name, seed)


def resample(reduce: Callable[[Floats], Floats], parts: Floats, name: str = "", seed: int = SEED) -> Draws:
    """Return ``reduce`` of the sums over the images, and of their sums over each resample, from (n, q)."""
    images = len(parts)
    value = float(reduce(parts.sum(axis=0)))
    if images < FEWEST_IMAGES:
        return Draws(value, np.full(RESAMPLES, math.nan), images)
    return Draws(value, reduce(_sums(parts, name, seed)), images)


def contrast(
    terms: Sequence[tuple[float, Mapping[int, Draws]]],
    *,
    comparisons: int = 1,
    level: float = 0.05,
    seed: int = SEED,
) -> Interval:
    """Return the interval of a weighted sum of scores.

    Args:
        terms: weight, and the draws of each seed.
        comparisons: how many comparisons the claim makes at once.
        level: error level of the interval.
        seed: of the draws.
    """
    units, paired = _units(terms)
    estimate = float(sum(values.mean() for values, _ in units))
    seeds = min(len(values) for values, _ in units)
    images = min(d.images for _, by_seed in terms for d in by_seed.values())
    none = Interval(estimate, math.nan, math.nan, math.nan, math.nan, seeds, images, paired)
    if images < FEWEST_IMAGES:
        return none
    moved = _moved(units, seed)
    finite = np.isfinite(moved)
    if not finite.any():
        return none
    moved = estimate + (moved if finite.all() else moved[finite])
    tails = [level / 2, 1 - level / 2, level / 2 / comparisons, 1 - level / 2 / comparisons]
    low, high, low_all, high_all = (float(end) for end in quantiles(moved, tails))
    return Interval(estimate, low, high, low_all, high_all, seeds, images, paired)


def quantiles(values: Floats, at: Sequence[float]) -> Floats:
    """Return quantiles of finite values (n,), n > 0, linear between neighbours.

    They are those of ``numpy.quantile``, bit for bit, which imports numpy's masked arrays on the way.
    """
    place = (len(values) - 1) * np.asarray(at)
    below = np.floor(place).astype(np.intp)
    above = np.minimum(below + 1, len(values) - 1)
    ordered = np.partition(values, sorted({0, *below.tolist(), *above.tolist()}))
    low, high, share = ordered[below], ordered[above], place - below
    return np.asarray(np.where(share < 0.5, low + (high - low) * share, high - (high - low) * (1 - share)))  # noqa: PLR2004


def _units(terms: Sequence[tuple[float, Mapping[int, Draws]]]) -> tuple[list[tuple[Floats, Floats]], bool]:
    """Return values (n,) and draws (n, resamples) of the independent units: the sum by seed, or each term."""
    common = sorted(set.intersection(*(set(by_seed) for _, by_seed in terms)))
    enough = len(common) > 1 or any(len(by_seed) == 1 for _, by_seed in terms)
    if common and enough:
        values = [sum(weight * by_seed[s].value for weight, by_seed in terms) for s in common]
        draws = [sum(weight * by_seed[s].resampled for weight, by_seed in terms) for s in common]
        return [(np.array(values), np.array(draws))], True
    return [
        (
            np.array([weight * d.value for d in by_seed.values()]),
            np.array([weight * d.resampled for d in by_seed.values()]),
        )
        for weight, by_seed in terms
    ], False


@lru_cache(maxsize=32)
def _student(seed: int, sizes: tuple[int, ...], draws: int) -> tuple[Floats, ...]:
    """Return draws of Student's t for groups of so many seeds, from one stream: the same for every comparison."""
    rng = np.random.default_rng([seed, 1])
    return tuple(rng.standard_t(n - 1, size=draws) for n in sizes)


def _moved(units: list[tuple[Floats, Floats]], seed: int) -> Floats:
    """Return draws of the error of the estimate, (REPEATS * resamples,)."""
    mean = np.sum([draws.mean(axis=0) for _, draws in units], axis=0)
    by_images = np.tile(mean - _mean(mean), REPEATS)
    by_images *= _share(units, mean)
    spread = [values for values, _ in units if len(values) > 1]
    drawn = _student(seed, tuple(len(values) for values in spread), by_images.size)
    for values, student in zip(spread, drawn, strict=True):
        by_images += values.std(ddof=1) / math.sqrt(len(values)) * student
    return by_images


def _share(units: list[tuple[Floats, Floats]], mean: Floats) -> float:
    """Return the factor on the images' error that removes the part included in the spread over seeds.

    Networks of different seeds err on different images. This part of the images' error falls with the number of seeds
    and is in their spread too; counting it twice would widen the interval.
    """
    total = float(_variance(mean)) if np.isfinite(mean).any() else 0.0
    twice = 0.0
    for _, draws in units:
        if len(draws) > 1 and np.isfinite(draws).any():
            own = float(_variance(draws).mean()) - float(_variance(draws.mean(axis=0)))
            twice += max(0.0, own) / (len(draws) - 1)
    return math.sqrt(max(0.0, 1.0 - twice / total)) if total > 0 else 1.0


def _mean(values: Floats) -> float:
    """Return the mean of (n,) without nan; 0 where every value is nan."""
    if np.isfinite(values).all():
        return float(values.mean())
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def _variance(values: Floats) -> Floats:
    """Return the variance along the last axis without nan; numpy's slower ``nanvar`` only where it is needed."""
    return np.asarray(values.var(axis=-1) if np.isfinite(values).all() else np.nanvar(values, axis=-1))
