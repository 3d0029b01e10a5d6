"""How long a run will take, from the records of runs like it on the same kind of device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from repro.experiment import Job, Run
from repro.records import Record, Shelf

LONGEST = 1e9
"""Seconds beyond which a record's time is no time (thirty years)."""


@dataclass(frozen=True)
class Whole:
    """How long several jobs take together, in seconds."""

    total: float
    """Of one process."""
    processes: int
    wall: float
    """With that many processes side by side; a stage waits for the one before it."""
    unknown: int
    """Jobs of which nothing like them was ever run; they are in neither sum."""


@dataclass(frozen=True)
class Estimates:
    """Seconds a run took, by its key; local records count before the project's own."""

    by_key: Mapping[str, float]
    by_network: Mapping[str, float]
    """Seconds a step, by profile and slug, for runs that differ in length only."""
    scale: float
    """How much slower this machine is than the one that made the reference records."""
    source: str

    @classmethod
    def read(cls, shelf: Shelf, kind: str = "cpu") -> Estimates:
        """Take the times of all records that ran to their end on a kind of device, ``cpu`` or ``cuda``."""
        usable = [r for r in shelf.records if r.status == "ok" and r.device_type == kind]
        reference = _times(r for r in usable if r.place == "reference")
        local = _times(r for r in usable if r.place == "local")
        both = sorted(set(reference) & set(local))
        scale = median(local[key] / reference[key] for key in both) if both else 1.0
        where = _devices(usable) if kind == "cuda" and not local else "machine"
        source = "times of this machine's own runs" if local else f"times of the reference records' {where}"
        if both and len(local) < len(reference):
            source = f"reference times x {scale:.2f}, this machine's pace over {len(both)} runs"
        by_key = {key: seconds * scale for key, seconds in reference.items()} | local
        return cls(by_key, _per_step(usable, scale), scale, source)

    def seconds(self, run: Run) -> float | None:
        """Return the expected seconds of a run in one process; None where nothing like it was ever run."""
        if run.key in self.by_key:
            return self.by_key[run.key]
        per_step = self.by_network.get(run.slug)
        return None if per_step is None else per_step * run.steps

    def whole(self, jobs: Sequence[Job], processes: int = 1) -> Whole:
        """Return how long jobs take, given in an order that works."""
        found = [self.seconds(job.run) for job in jobs]
        ends: dict[str, float] = {}
        for job, seconds in zip(jobs, found, strict=True):
            ends[job.name] = (seconds or 0.0) + max((ends.get(name, 0.0) for name in job.after), default=0.0)
        total = sum(seconds for seconds in found if seconds is not None)
        wall = max(total / processes, max(ends.values(), default=0.0))
        return Whole(total, processes, wall, sum(seconds is None for seconds in found))


def _devices(records: Iterable[Record]) -> str:
    """Return the names of the devices of some records, the most frequent first."""
    names = Counter(str(record.meta.get("device", "GPU")) for record in records)
    return " and ".join(name for name, _ in names.most_common()) or "GPU"


def _times(records: Iterable[Record]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for record in records:
        if (seconds := _seconds(record)) is not None:
            found.setdefault(record.key, []).append(seconds)
    return {key: median(values) for key, values in found.items()}


def _per_step(records: Iterable[Record], scale: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for record in records:
        if (pace := _pace(record)) is not None:
            found[str(record.meta.get("slug"))] = pace * (scale if record.place == "reference" else 1.0)
    return found


def _pace(record: Record) -> float | None:
    seconds, steps = _seconds(record), record.meta.get("steps")
    return seconds / steps if seconds is not None and isinstance(steps, int) and steps else None


def _seconds(record: Record) -> float | None:
    """Return how long a run takes on a quiet machine: a single CPU thread's own time, else the time that passed."""
    alone = record.meta.get("threads") == 1 and record.meta.get("precision") == "32-true"
    single = alone and record.device_type == "cpu"
    value = record.meta.get("cpu_seconds" if single else "seconds_total") or record.meta.get("seconds_total")
    return float(value) if isinstance(value, int | float) and 0 < value < LONGEST else None
