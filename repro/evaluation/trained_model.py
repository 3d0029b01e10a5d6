"""Load trained networks of this machine by the key of their record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from repro import models
from repro.config import dataset_info, profiles
from repro.config.errors import RecordError, SpecError, near
from repro.config.experiment import Evaluation, Run
from repro.config.identity import conflicts
from repro.config.machine import Machine
from repro.config.networks import Classifier
from repro.data.dataset import Bytes, Colour
from repro.data.normalise import normalise
from repro.data.palette import VOC_PALETTE
from repro.evaluation.predictor import Predictor, frame_of
from repro.models import Network
from repro.models.numerics import full_float32, repeatable
from repro.paper.tables import all_tables
from repro.results import records
from repro.results.records import Record, RecordStore
from repro.results.restore import run_of

FILE = records.WEIGHTS
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Trained:
    """A record with its network, in float32 and in evaluation mode."""

    record: Record
    run: Run
    net: Network
    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    device: torch.device = CPU
    """Device of the network."""

    @property
    def normalise(self) -> Callable[[Tensor], Tensor]:
        """Function from uint8 images (n, 3, h, w) to the network's float32 input."""
        info = dataset_info.get(self.run.test.dataset)
        return partial(normalise, mean=info.mean, std=info.std)

    @property
    def predictor(self) -> Predictor:
        """Single-scale predictor with the frame of the run's test data."""
        return Predictor(self.net, self.normalise, frame_of(self.run.test), device=self.device)

    def read(self, image: Bytes) -> Tensor:
        """Convert an image (h, w, 3) to the network's input, (3, h, w) normalised float32, on its device."""
        bytes_ = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
        return self.normalise(bytes_.to(self.device))[0].contiguous()

    @property
    def reduction(self) -> float:
        """Scale of the training images against their native size."""
        return dataset_info.get(self.run.test.dataset).reduction

    @property
    def for_pictures(self) -> Predictor:
        """Predictor for images of native size: scaled as in training, label maps of the native size."""
        return replace(self.predictor, evaluation=Evaluation(scales=(self.reduction,)))


def find(runs: Path, name: str, seed: int | None = None) -> Record:
    """Return the record of a key (or folder name) that has weights on this machine, the lowest seed first.

    Raises:
        RecordError: no such record; where only its weights are missing, the message gives the command that trains them.
    """
    place = Machine(runs=runs)
    shelf = records.load({"reference": place.reference, "local": place.local})
    named = [record for record in shelf.records if name in {record.key, record.name}]
    if not named:
        raise RecordError(
            f"--key {name}: no record has this key under {runs}; known are {_known(shelf)}"
            f"{near(name, (word for r in shelf.records for word in (r.key, r.name)))}"
        )
    fitting = [record for record in named if seed in {None, record.seed}]
    if not fitting:
        have = ", ".join(str(record.seed) for record in named)
        raise RecordError(f"--seed {seed}: key {name} has no record of it, only of {have}")
    ready = [record for record in fitting if (record.folder / FILE).is_file()]
    if not ready:
        raise RecordError(
            f"{fitting[0].name}: its weights are not on this machine; train them with: {command(fitting[0])}"
        )
    first = min(ready, key=lambda record: record.seed)
    same = [record for record in ready if record.seed == first.seed]
    if any(conflicts(record.identity.sources, first.identity.sources) for record in same):
        names = ", ".join(record.name for record in same)
        raise RecordError(f"--key {name}: was trained on several data sets or start weights; name one of {names}")
    return first


def _known(shelf: RecordStore) -> str:
    ready = {f"{r.key} ({r.meta.get('slug', r.name)})" for r in shelf.records if (r.folder / FILE).is_file()}
    return ", ".join(sorted(ready)[:5]) + (f" and {len(ready) - 5} more" if len(ready) > 5 else "") or "none"  # noqa: PLR2004


def command(record: Record) -> str:
    """Return the command that trains the weights of a record."""
    run = run_of(record)
    cut = profiles.PROFILES.get(run.profile)
    words = [f"repro run all --profile {run.profile}"]
    if cut is not None:
        stride_in = None if run.model.stride_in == "conv1" else run.model.stride_in
        for steps, recipe in ((None, ""), (run.steps, ""), (run.steps, run.recipe.name)):
            profile = profiles.get(run.profile, steps=steps, recipe=recipe, stride_in=stride_in)
            if table := _table(run, profile):
                given = (("steps", steps), ("recipe", recipe), ("stride-in", stride_in))
                extra = [f"--{name} {value}" for name, value in given if value]
                words = [f"repro run {table} --profile {run.profile}", *extra]
                break
    seeds = [f"--seeds {record.seed + 1}"] if record.seed else []
    return " ".join([*words, *seeds, f"--only {run.trained().key}", "--runs <another folder>"])


def _table(run: Run, profile: profiles.Profile) -> str:
    """Return the name of the first table with a cell of this run's training; empty without one."""
    for table in all_tables().values():
        found = (profile.resolve(cell.training) for cell in table.scores())
        if any(one is not None and one.key == run.trained().key for one in found):
            return table.name
    return ""


def load(record: Record, device: torch.device = CPU) -> Trained:
    """Build a record's network with its weights on a device, in full float32 (no TF32).

    Raises:
        RecordError: the weights are damaged or belong to another network.
        WeightsError: a value is invalid (not finite, a negative variance).
        SpecError: the record is a classifier's, which predicts no label maps.
    """
    run = run_of(record)
    if isinstance(run.model, Classifier):
        raise SpecError(f"{record.name}: is a classifier and gives no label map; choose a segmentation record")
    classes = tuple(str(name) for name in record.meta["classes"])
    net = models.build(run.model, len(classes))
    assert isinstance(net, Network)
    try:
        found = tensors(record)
        net.load_state_dict(found)
    except RuntimeError as error:
        raise RecordError(_damaged(record)) from error
    models.check_values(net.state_dict(), found, record.folder / FILE, f"train them with: {command(record)}")
    net.eval().requires_grad_(requires_grad=False)
    if device.type == "cuda":
        full_float32()
        repeatable()
    net = net.to(device).to(memory_format=torch.channels_last)
    return Trained(record, run, net, classes, palette_of(run, len(classes)), device)


def tensors(record: Record) -> dict[str, Tensor]:
    """Return a record's weights by name; raise ``RecordError`` where they are damaged or of another record."""
    path = record.weights()
    try:
        found: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise RecordError(_damaged(record)) from error
    return found


def _damaged(record: Record) -> str:
    return f"{record.folder / FILE}: damaged, or weights of another network; train them with: {command(record)}"


def palette_of(run: Run, count: int) -> tuple[Colour, ...]:
    """Return the colours of the classes: those of the data set, or VOC's."""
    return (dataset_info.get(run.test.dataset).palette or VOC_PALETTE)[:count]
