"""What runs compute, store and take: operations from stored counts, time from the records of runs like them."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median

from repro.config import dataset_info
from repro.config.experiment import Job, Run, Source
from repro.config.hashing import key
from repro.config.networks import Classifier, Model
from repro.results.records import Record, RecordStore

NETWORKS = Path(__file__).with_name("networks.json")
"""Written by ``repro cost all --store``; a test counts a part of it anew."""
STRIDE = 32
FORWARD_AND_BACKWARD = 3
"""A training step computes the gradient of inputs and of weights: each about as much as the forward pass."""
OPERATIONS = 2
"""A multiply-add is two operations where a device's speed is quoted."""
LAUNCH_US = 10.0
"""Microseconds that the host takes to launch one operation of torch. Assumed, not measured: about what a current CPU
takes; a step that is captured as a CUDA graph or compiled launches far less."""
LAUNCHES_OF_A_STEP = 2
"""Of the forward pass: each of its operations has one of the backward pass; a fused optimiser adds a few at most."""
FLOAT, PIXEL, CHECKPOINTS = 4, 4, 2
"""Bytes of a float32, of a pixel of the store (three colours and a label), and the checkpoints that are kept."""
TERA, HOUR = 1e12, 3600.0


@dataclass(frozen=True)
class Pass:
    """One forward pass of a network on one image of ``height x width``."""

    model: Model | Classifier
    classes: int
    height: int
    width: int

    @property
    def name(self) -> str:
        """Its place in the stored counts."""
        return f"{_key(self.model)}-{self.classes}-{self.height}x{self.width}"


@dataclass(frozen=True)
class Speed:
    """How fast a device is in training, and where the numbers come from."""

    tflops: float
    """10^12 operations a second that it sustains."""
    source: str
    launch_us: float = LAUNCH_US
    """Microseconds from one launched operation to the next, below which no step gets however little it computes."""
    launch_source: str = "assumed, not measured"


USUAL = Speed(100.0, "about what one data-centre GPU sustains in bfloat16, assumed")
"""The speed at which a report tells operations as time."""


@dataclass(frozen=True)
class Compute:
    """What a run computes: parameters, multiply-adds of an image in training, and of everything."""

    params: int
    macs: int
    train_macs: int
    """Forward passes of the training alone; 0 where another run's weights are evaluated."""
    test_macs: int
    train_launches: int = 0
    """Operations that the host launches for all steps of the training."""
    test_launches: int = 0

    @property
    def flops(self) -> float:
        """Floating-point operations, a backward pass counted as two forward ones."""
        return float(OPERATIONS * (FORWARD_AND_BACKWARD * self.train_macs + self.test_macs))

    def hours(self, speed: Speed) -> float:
        """Return the hours of a device: training and evaluation each by arithmetic or launches, whichever is longer."""
        train = OPERATIONS * FORWARD_AND_BACKWARD * self.train_macs
        parts = ((train, self.train_launches), (OPERATIONS * self.test_macs, self.test_launches))
        seconds = (max(flops / (speed.tflops * TERA), n * speed.launch_us / 1e6) for flops, n in parts)
        return sum(seconds) / HOUR

    def launch_hours(self, speed: Speed) -> float:
        """Return the hours that launching alone takes."""
        return (self.train_launches + self.test_launches) * speed.launch_us / 1e6 / HOUR


@cache
def _key(model: Model | Classifier) -> str:
    """Return the key of a network, which many passes share."""
    return key(model)


@cache
def stored(path: Path = NETWORKS) -> Mapping[str, Mapping[str, int]]:
    """Return name -> {params, macs, operations}; empty where the file is missing or damaged."""
    try:
        tree: dict[str, dict[str, int]] = json.loads(path.read_text(encoding="utf-8"))["networks"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return tree


def of(run: Run, counts: Mapping[str, Mapping[str, int]] | None = None) -> Compute | None:
    """Return what a run computes; None where its network was never counted or its test set has no known size."""
    known = stored() if counts is None else counts
    images = image_count(run.test)
    if images is None:
        return None
    train, tests = training_pass(run), test_passes(run)
    if any(p.name not in known for p in (train, *tests)):
        return None
    macs, seen = known[train.name]["macs"], run.steps * run.recipe.batch_size
    trains = run.trained() == run
    per_image = sum(known[p.name]["macs"] for p in tests)
    a_step = LAUNCHES_OF_A_STEP * known[train.name]["operations"]
    return Compute(
        known[train.name]["params"], macs, macs * seen if trains else 0, per_image * images,
        a_step * run.steps if trains else 0, sum(known[p.name]["operations"] for p in tests) * images,
    )  # fmt: skip


def training_pass(run: Run) -> Pass:
    """Return the pass of one training image, padded or cropped to its frame."""
    source = run.train[0]
    return Pass(run.model, _classes(run), source.height, source.width)


def test_passes(run: Run) -> tuple[Pass, ...]:
    """Return the passes that one test image takes: crops, scales and mirrors, sides rounded up to the stride."""
    evaluation, (height, width) = run.evaluation, _size(run.test)
    if isinstance(run.model, Classifier):
        return (Pass(run.model, _classes(run), height, width),)
    views = max(1, evaluation.crops)
    if evaluation.crops:
        height = width = min(height, width)
    mirrors = 2 if evaluation.flip else 1
    scaled = [(_up(height * scale), _up(width * scale)) for scale in evaluation.scales]
    return tuple(Pass(run.model, _classes(run), h, w) for h, w in scaled for _ in range(views * mirrors))


def _classes(run: Run) -> int:
    return dataset_info.get(run.test.dataset).num_classes(run.test.split)


def _size(source: Source) -> tuple[int, int]:
    native = dataset_info.get(source.dataset).native or (0, 0)
    return source.height or native[0], source.width or native[1]


def _up(side: float) -> int:
    return -(-round(side) // STRIDE) * STRIDE


def image_count(source: Source) -> int | None:
    """Return the number of images of a split as published (of ``shapes`` as generated); None where it is not known."""
    return dataset_info.images(source.dataset, source.split)


@dataclass(frozen=True)
class Storage:
    """Bytes that runs leave or need on disk."""

    weights: int
    """Kept: the weights of every training."""
    checkpoints: int
    """While the largest training is under way: its two checkpoints."""
    decoded: int
    """The decoded data at most: every image as large as its frame."""
    unknown: tuple[str, ...]
    """Splits whose images have no known largest size; not counted."""


def storage(runs: Iterable[Run]) -> Storage:
    """Return what some runs store, weights and optimiser states in float32."""
    weights, largest = 0, 0
    sources: dict[str, Source] = {}
    for run in dict.fromkeys(runs):
        found = of(run)
        if run.trained() == run and found is not None:
            weights += FLOAT * found.params
            states = 2 if run.recipe.optimizer == "adamw" else 1
            largest = max(largest, CHECKPOINTS * FLOAT * found.params * (1 + states))
        for source in (*(run.train if run.trained() == run else ()), run.test):
            sources.setdefault(f"{source.dataset}/{source.split}", source)
    sizes = {name: decoded(source) for name, source in sources.items()}
    unknown = tuple(name for name, size in sizes.items() if size is None)
    return Storage(weights, largest, sum(size or 0 for size in sizes.values()), unknown)


def decoded(source: Source) -> int | None:
    """Return the bytes of a split's store at most; None where no largest size of its images is known."""
    native = dataset_info.get(source.dataset).native
    height, width = native or ((0, 0) if source.crop else (source.height, source.width))
    count = image_count(source)
    return count * height * width * PIXEL if count and height and source.dataset != "imagenet" else None


def named(source: Source) -> str:
    """Return a source as ``voc/trainaug 10,582 at 512 x 512``."""
    count = image_count(source)
    images = "" if count is None else f" {count:,}"
    frame = f" at {source.height} x {source.width}" if source.height else ""
    return f"{source.dataset}/{source.split}{images}{frame}{', random crops' * source.crop}"


def passes(runs: Iterable[Run]) -> Iterator[Pass]:
    """Yield every pass that some runs need counted, each once."""
    found = itertools.chain.from_iterable((training_pass(run), *test_passes(run)) for run in runs)
    yield from dict.fromkeys(found)


def measured(shelf: RecordStore, runs: Iterable[Run], kind: str = "cpu") -> tuple[float, int]:
    """Return the TFLOP/s that trainings of some runs sustained here (median), and over how many; 0 for none.

    Only records of one kind of device count, ``cpu`` or ``cuda``.
    A training that was cut short (``--steps``) counts as well: a hundred steps measure a device.
    """
    local = [record for record in shelf.records if record.place == "local" and record.device_type == kind]
    by_key: dict[str, list[Record]] = {}
    for record in local:
        by_key.setdefault(record.key, []).append(record)
    lengths = {steps for record in local if isinstance(steps := record.meta.get("steps"), int) and steps > 0}
    paces = []
    for run in dict.fromkeys(runs):
        for steps in {run.steps} | lengths:
            tried = run if steps == run.steps else replace(run, steps=steps)
            compute = of(tried) if tried.key in by_key else None
            for record in by_key.get(tried.key, ()) if compute and compute.train_macs else ():
                seconds = record.meta.get("seconds")
                if compute and isinstance(seconds, int | float) and seconds > 0:
                    paces.append(OPERATIONS * FORWARD_AND_BACKWARD * compute.train_macs / seconds / TERA)
    return (median(paces), len(paces)) if paces else (0.0, 0)


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
    def read(cls, shelf: RecordStore, kind: str = "cpu") -> Estimates:
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
