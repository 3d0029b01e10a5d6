"""Parameters and multiply-adds of whole runs, from stored counts of whole networks, so that a plan needs no torch."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median

from repro import published
from repro.experiment import Run, Source
from repro.keys import key
from repro.records import Record, Shelf
from repro.spec import Classifier, Model

STORED = Path(__file__).with_name("networks.json")
"""Written by ``repro cost all --store``; a test counts a part of it anew."""
NATIVE = {"cityscapes": (1024, 2048), "shapes": (96, 192)}
"""Height and width of test images that are evaluated without a frame."""
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
def stored(path: Path = STORED) -> Mapping[str, Mapping[str, int]]:
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
    return published.num_classes(run.test.dataset, run.test.split)


def _size(source: Source) -> tuple[int, int]:
    native = NATIVE.get(source.dataset, (0, 0))
    return source.height or native[0], source.width or native[1]


def _up(side: float) -> int:
    return -(-round(side) // STRIDE) * STRIDE


def image_count(source: Source) -> int | None:
    """Return the number of images of a split as published (of ``shapes`` as generated); None where it is not known."""
    return published.images(source.dataset, source.split)


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
    height, width = NATIVE.get(source.dataset, (0, 0) if source.crop else (source.height, source.width))
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


def measured(shelf: Shelf, runs: Iterable[Run], kind: str = "cpu") -> tuple[float, int]:
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
