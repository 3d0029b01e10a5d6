"""Scores of records from their raw counts: values by seed, diverged runs, faults."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.config.errors import RecordError
from repro.config.identity import Sources, conflicts, majority
from repro.results import field_areas, intervals, metrics
from repro.results.metrics import BINS
from repro.results.records import Record, RecordStore

Array = NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """The score of one seed, in points (per cent); nan where nothing was counted."""

    seed: int
    value: float
    record: Record


@dataclass(frozen=True)
class Measurement:
    """Scores, diverged runs and faults of the records of one place for one cell."""

    place: str
    samples: tuple[Sample, ...] = ()
    diverged: tuple[Record, ...] = ()
    interrupted: tuple[Record, ...] = ()
    faults: tuple[str, ...] = ()
    other_data: tuple[Sample, ...] = ()
    """Scores of the same experiment on other data or from other start weights; never pooled with the samples."""
    other_arithmetic: tuple[Sample, ...] = ()
    """Scores of seeds that stand among the samples already, made on another device or in another precision."""

    @property
    def values(self) -> tuple[float, ...]:
        """The score of each seed that ran to its end, in points."""
        return tuple(sample.value for sample in self.samples)

    @property
    def mean(self) -> float:
        """Mean over those seeds; nan for none, or where a score is undefined."""
        return float(np.mean(self.values)) if self.values else math.nan

    @property
    def std(self) -> float:
        """Sample standard deviation over seeds; nan for fewer than two."""
        if len(self.values) < 2 or math.isnan(self.mean):  # noqa: PLR2004
            return math.nan
        return float(np.std(self.values, ddof=1))

    @property
    def records(self) -> tuple[Record, ...]:
        """Every record behind the cell, diverged and interrupted ones too."""
        return (*(sample.record for sample in self.samples), *self.diverged, *self.interrupted)

    @property
    def status(self) -> str:
        """One word of ``verdicts.STATUSES``."""
        if self.samples:
            return "no score" if math.isnan(self.mean) else "measured"
        if self.diverged:
            return "diverged"
        if self.faults:
            return "unusable"
        return "other data" if self.other_data else "not run"


@dataclass(frozen=True)
class Scores:
    """Records by key and place, each read once; ``faults`` names those that cannot be used at all.

    In each place, the records of one profile that agree on their data and start weights are pooled: those of the
    user's data root and weights (``wished``), else the largest set. The others are kept apart.
    """

    shelf: RecordStore
    wished: Sources = field(default_factory=dict)
    faults: tuple[str, ...] = field(init=False)
    _sound: Mapping[tuple[str, str], tuple[Record, ...]] = field(init=False, repr=False)
    _apart: Mapping[tuple[str, str], tuple[Record, ...]] = field(init=False, repr=False)
    _counts: dict[Record, dict[str, Array]] = field(init=False, repr=False, default_factory=dict)
    _measured: dict[tuple[str, str, str], Measurement] = field(init=False, repr=False, default_factory=dict)
    _beside: dict[tuple[Record, str], Mapping[str, NDArray[Any]] | None] = field(
        init=False, repr=False, default_factory=dict
    )
    _draws: dict[tuple[Record, str], intervals.Draws] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Group the records by key and place, and list those without a usable status."""
        faults = list(self.shelf.passed_over)
        usable: list[Record] = []
        for record in self.shelf.records:
            if fault := status_fault(record):
                faults.append(fault)
            else:
                usable.append(record)
        together, apart = divided(usable, self.wished)
        object.__setattr__(self, "_sound", _by_key(together))
        object.__setattr__(self, "_apart", _by_key(apart))
        object.__setattr__(self, "faults", tuple(faults))

    def keys(self) -> dict[str, list[Record]]:
        """Return every usable record by its key, without those of other data."""
        found: dict[str, list[Record]] = defaultdict(list)
        for (key, _), records in self._sound.items():
            found[key] += records
        return found

    def counts(self, record: Record) -> dict[str, Array]:
        """Return a record's raw counts; raise ``RecordError`` where they are missing, damaged or impossible."""
        if record not in self._counts:
            counts = record.counts()
            if fault := impossible(record, counts):
                raise RecordError(f"{record.name} ({record.place}): {fault}; retract the record")
            self._counts[record] = counts
        return self._counts[record]

    def sums(self, record: Record, metric: str) -> Mapping[str, NDArray[Any]] | None:
        """Return the counts that a metric needs, of the evaluation or from ``BESIDE``; None where the latter has none.

        Raises:
            RecordError: counts or areas that cannot be read or trusted.
        """
        name = metrics.find(metric).counts
        if name not in BESIDE:
            return self.counts(record)
        if (record, name) not in self._beside:
            self._beside[record, name] = BESIDE[name](record)
        return self._beside[record, name]

    def draws(self, record: Record, metric: str) -> intervals.Draws:
        """Return a record's score with its values on resampled images; records of one test set share the images."""
        if (record, metric) not in self._draws:
            sums = self.sums(record, metric) or {}
            self._draws[record, metric] = intervals.draw(metric, sums, test_set(record))
        return self._draws[record, metric]

    def draws_by_seed(self, found: Measurement, metric: str) -> dict[int, intervals.Draws]:
        """Return the draws of every seed of a measurement."""
        return {sample.seed: self.draws(sample.record, metric) for sample in found.samples}

    def measure(self, key: str, place: str, metric: str) -> Measurement:
        """Return the measurement of ``key`` from the records of ``place`` in ``metric``."""
        asked = (key, place, metric)
        if asked not in self._measured:
            self._measured[asked] = self._measure(key, place, metric)
        return self._measured[asked]

    def _measure(self, key: str, place: str, metric: str) -> Measurement:
        records = self._sound.get((key, place), ())
        faults: list[str] = []
        single, doubles = self._single(tuple(r for r in records if r.status == "ok"), faults)
        samples = self._samples(single, metric, faults)
        apart = (record for record in self._apart.get((key, place), ()) if record.status == "ok")
        by = {status: tuple(r for r in records if r.status == status) for status in STATUSES}
        return Measurement(
            place, samples, by["diverged"], by["interrupted"], tuple(faults),
            other_data=self._samples(apart, metric, faults),
            other_arithmetic=self._samples(doubles, metric, faults),
        )  # fmt: skip

    def _samples(self, records: Iterable[Record], metric: str, faults: list[str]) -> tuple[Sample, ...]:
        return tuple(sample for record in records if (sample := self._sample(record, metric, faults)))

    def _sample(self, record: Record, metric: str, faults: list[str]) -> Sample | None:
        try:
            sums = self.sums(record, metric)
            return None if sums is None else Sample(record.seed, 100.0 * metrics.score(metric, sums), record)
        except ValueError as error:
            text = str(error)
            faults.append(text if record.name in text else f"{record.name} ({record.place}): {text}")
            return None

    def _single(self, records: tuple[Record, ...], faults: list[str]) -> tuple[list[Record], list[Record]]:
        """Return one record a seed, and the others of these seeds from another arithmetic.

        Of equal records the first is used. Of records whose arithmetic differs (a CPU's and a GPU's), the one whose
        arithmetic most records of this key share is used; the other is shown, not pooled. Records that disagree
        under the same arithmetic are not used at all.
        """
        common = Counter(_arithmetic(record) for record in records)
        seeds: dict[int, list[Record]] = defaultdict(list)
        for record in sorted(records, key=lambda r: (-common[_arithmetic(r)], r.name)):
            seeds[record.seed].append(record)
        single, doubles = [], []
        for seed, (first, *others) in sorted(seeds.items()):
            same = [first, *(r for r in others if _arithmetic(r) == _arithmetic(first))]
            if len(same) > 1 and not self._agree(same):
                names = ", ".join(record.name for record in same)
                faults.append(f"{names} ({first.place}): disagree under one key and seed {seed}, so none is used")
                continue
            single.append(first)
            doubles += [record for record in others if record not in same]
        return single, doubles

    def _agree(self, records: list[Record]) -> bool:
        try:
            first, *others = (self.counts(record) for record in records)
        except RecordError:
            return False
        return all(
            other.keys() == first.keys() and all(np.array_equal(other[name], first[name]) for name in first)
            for other in others
        )


def divided(records: Iterable[Record], wished: Sources | None = None) -> tuple[list[Record], list[Record]]:
    """Divide records into those that may be pooled in one table and those of other data or start weights.

    Args:
        records: of any places and profiles; each profile of each place is divided separately.
        wished: the sources that the user names, which local records must agree with; in other places, and where it
            is None or empty, the sources of most records are used.

    Returns:
        The records that agree, and the others, each in the order given.
    """
    given = list(records)
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in given:
        groups[record.place, str(record.meta.get("profile"))].append(record)
    common = {
        (place, profile): majority((r.identity.sources for r in found), wished if place == "local" else None)
        for (place, profile), found in groups.items()
    }
    fits = {id(r): not conflicts(r.identity.sources, common[name]) for name, found in groups.items() for r in found}
    return [r for r in given if fits[id(r)]], [r for r in given if not fits[id(r)]]


def _by_key(records: Iterable[Record]) -> dict[tuple[str, str], tuple[Record, ...]]:
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        found[record.key, record.place].append(record)
    return {name: tuple(sorted(same, key=lambda r: (r.seed, r.name))) for name, same in found.items()}


def _arithmetic(record: Record) -> str:
    return fingerprint(dict(record.identity.arithmetic))


def _fields(record: Record) -> dict[str, NDArray[Any]] | None:
    """Return area and image size of each field, (n, 2); None where no area was measured."""
    found = field_areas.read(record.folder)
    if found is None:
        return None
    if found.settings != field_areas.Settings():
        raise RecordError(f"{record.name} ({record.place}): areas of other settings; measure again with repro vrf-area")
    pixels = found.size[0] * found.size[1]
    sums = np.array([(field.area, pixels) for field in found.fields], dtype=np.float64)
    if pixels <= 0 or not np.isfinite(sums).all() or (sums[:, 0] < 0).any() or (sums[:, 0] > pixels).any():
        raise RecordError(
            f"{record.name} ({record.place}): an area that no image has; measure again with repro vrf-area"
        )
    return {"fields": sums}


def _losses(record: Record) -> dict[str, NDArray[Any]] | None:
    """Return the losses of the last tenth of the log, each with a one, (n, 2); None where too few are finite."""
    try:
        lines = record.log()
    except (OSError, ValueError) as error:
        raise RecordError(f"{record.name} ({record.place}): the log cannot be read ({error})") from error
    found = [line.get("loss") for line in lines[-(len(lines) // 10) :]] if len(lines) >= 10 else []  # noqa: PLR2004
    losses = [float(loss) for loss in found if isinstance(loss, float) and math.isfinite(loss)]
    return {"loss": np.array([(loss, 1.0) for loss in losses])} if losses else None


BESIDE = {"fields": _fields, "loss": _losses}
"""Counts that are no part of ``counts.npz``: name -> how they are read from a record's folder."""


def test_set(record: Record) -> str:
    """Return a text that is the same for records of one test set."""
    spec = record.meta.get("spec")
    return fingerprint(spec.get("test") if isinstance(spec, Mapping) else None)


def fingerprint(value: Any) -> str:  # noqa: ANN401 - any part of record.json
    """Return a part of ``record.json`` as text, the same for equal parts."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


STATUSES = ("ok", "diverged", "interrupted")
SIZES = 21
"""Bins of ``size``, as ``regions.SIZES``, which is not for reports to import."""
_MOST = 2**40
"""More pixels than an image can have."""


def status_fault(record: Record) -> str:
    """Return why a record cannot be used in any table; empty where it can."""
    if record.status in STATUSES:
        return ""
    return f"{record.name} ({record.place}): status {record.status!r} is none of {', '.join(STATUSES)}, passed over"


def impossible(record: Record, counts: Mapping[str, Array]) -> str:
    """Return why no evaluation can have made these counts; empty where one can."""
    if fault := _misshapen(record, counts):
        return fault
    if any(array.size and array.min() < 0 for array in counts.values()):
        return "a count is negative"
    if any(array.size and array.max() > (1 if name == "top5" else _MOST) for name, array in counts.items()):
        return "a count is larger than any can be"
    if any(_more(array, small, large) for name in counts for array, small, large in _ordered(name, counts[name])):
        return "a part is counted larger than its whole"
    images = record.meta.get("test_images")
    lengths = {len(array) for array in counts.values() if array.ndim}
    if isinstance(images, int) and lengths - {images}:
        return f"counts of {', '.join(map(str, sorted(lengths)))} images, and record.json says {images}"
    return ""


def _misshapen(record: Record, counts: Mapping[str, Array]) -> str:
    """Return which counts are unknown or of another shape than the record's bins and classes; empty for none."""
    classes = record.meta.get("classes")
    number = None if classes is None else len(classes)
    wanted = {"classes": (number, 3), "distance": (BINS, 2), "size": (SIZES, 2), "top5": (2,)}
    for name, array in counts.items():
        if name not in wanted:
            return f"counts {name!r} are unknown"
        shape = tuple(one if own is None else own for own, one in zip(wanted[name], array.shape[1:], strict=False))
        if array.shape[1:] != shape or array.ndim != 1 + len(wanted[name]):
            form = ", ".join("any" if size is None else str(size) for size in wanted[name])
            return f"{name} are counts of shape {array.shape}, not of (images, {form})"
    return ""


def _ordered(name: str, array: Array) -> list[tuple[Array, int, int]]:
    """Return pairs of columns of which the first can never exceed the second."""
    pairs = {"classes": ((0, 1), (0, 2)), "distance": ((0, 1),), "size": ((0, 1),), "top5": ((0, 1),)}
    return [(array, small, large) for small, large in pairs.get(name, ())]


def _more(array: Array, small: int, large: int) -> bool:
    return array.ndim > 0 and array.shape[-1] > large and bool((array[..., small] > array[..., large]).any())
