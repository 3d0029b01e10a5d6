"""Records of a figure and bootstrap draws of their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.config.errors import FigureError
from repro.config.experiment import Run, Training
from repro.config.networks import Model
from repro.config.profiles import Profile
from repro.figures import style
from repro.figures.style import Band
from repro.paper.schema import Figure as FigureSpec
from repro.paper.schema import Table
from repro.paper.tables import all_tables
from repro.results import intervals, metrics
from repro.results.intervals import Draws
from repro.results.metrics import Floats
from repro.results.records import Record
from repro.results.scores import Measurement, Scores, test_set


@dataclass(frozen=True)
class Shown:
    """One training of a figure: its run and its measurement from the records of one origin."""

    training: Training
    run: Run
    found: Measurement

    @property
    def model(self) -> Model:
        """The network as in the paper (full ``k``, the paper's backbone)."""
        assert isinstance(self.training.model, Model)
        return self.training.model

    @property
    def k(self) -> int:
        """Kernel size of GCN or Conv, 1 for the baseline."""
        k = getattr(self.model.head, "k", 1)
        assert isinstance(k, int)
        return k

    @property
    def records(self) -> tuple[Record, ...]:
        """Records of completed trainings, one a seed."""
        return tuple(sample.record for sample in self.found.samples)


@dataclass(frozen=True)
class Material:
    """Records of one figure, all of one profile and one origin."""

    figure: FigureSpec
    profile: Profile
    place: str
    evidence: Scores
    shown: tuple[Shown, ...]
    data_root: Path | None = None
    device: str = "cpu"
    """Where networks are evaluated, for the figures that need weights."""

    @property
    def runs(self) -> list[str]:
        """Names of all records shown, including diverged ones."""
        return sorted({record.name for part in self.shown for record in part.found.records})

    @property
    def seeds(self) -> int:
        """Smallest number of seeds of any training."""
        return min(len(part.records) for part in self.shown)

    @property
    def images(self) -> int:
        """Number of test images."""
        return int(self.shown[0].records[0].meta.get("test_images", 0))


def gather(figure: FigureSpec, profile: Profile, evidence: Scores, places: Sequence[str]) -> Material:
    """Return the records of the first origin that has all trainings of a figure.

    Raises:
        FigureError: the profile has no such data, or some trainings have no record; the message names the command.
    """
    for place in places:
        shown = tuple(_shown(figure, training, profile, evidence, place) for training in figure.trainings)
        if all(_usable(figure, part) for part in shown):
            return Material(figure, profile, place, evidence, shown)
    missing = [style.label(part.model) for part in shown if not _usable(figure, part)]
    raise FigureError(
        f"{figure.name}: no records of {_some(missing)} in profile {profile.name}; make them with: "
        f"repro run {' '.join(_tables(figure))} --profile {profile.name}"
    )


def _shown(figure: FigureSpec, training: Training, profile: Profile, evidence: Scores, place: str) -> Shown:
    run = profile.resolve(training)
    if run is None:
        raise FigureError(f"{figure.name}: profile {profile.name} has no data for it; choose another with --profile")
    return Shown(training, run, evidence.measure(run.key, place, "miou"))


def _usable(figure: FigureSpec, part: Shown) -> bool:
    """Return whether a training can be shown; if all seeds diverged, only its losses can."""
    return bool(part.records) or (figure.name == "training_curves" and bool(part.found.diverged))


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004


def _tables(figure: FigureSpec) -> list[str]:
    """Return a smallest set of tables that contain all trainings of a figure (greedy)."""
    wanted, chosen = set(figure.trainings), []
    held = {table.number: _trainings(table) for table in all_tables().values()}
    while wanted:
        best = max(held, key=lambda number: (len(held[number] & wanted), -number))
        if not held[best] & wanted:
            break
        chosen.append(best)
        wanted -= held[best]
    return [all_tables()[number].name for number in sorted(chosen)] or ["all"]


def _trainings(table: Table) -> set[Training]:
    return {score.training for score in table.scores()}


Ints = NDArray[np.int64]
Seeds = Mapping[int, Draws]
DISTANCES = tuple(range(1, metrics.BINS - 1))


Bands = tuple[Band, ...]


def draws_of(part: Shown, split: Callable[[Record], list[Ints]], reduce: Callable[[Floats], Floats]) -> list[Seeds]:
    """Return the draws of several scores of one network by seed.

    ``split`` gives for each score the summands of every image, (n, q), and ``reduce`` the score from their sums.
    """

    def draws(record: Record) -> list[Draws]:
        test = test_set(record)
        return [intervals.resample(reduce, sums.astype(np.float64), test) for sums in split(record)]

    by_seed = {record.seed: draws(record) for record in part.records}
    count = len(next(iter(by_seed.values())))
    return [{seed: found[i] for seed, found in by_seed.items()} for i in range(count)]


def network_bands(material: Material, split: Callable[[Record], list[Ints]]) -> tuple[Bands, Bands]:
    """Return the accuracies of the networks and the gain of each over the one before it."""
    found = [(part, draws_of(part, split, metrics.ratio)) for part in material.shown]
    accuracy = tuple(
        _band(style.family(part.model), style.label(part.model), [[(1.0, seeds)] for seeds in draws])
        for part, draws in found
    )
    gain = tuple(
        _band(
            style.family(after.model),
            step_name(before, after),
            [[(1.0, b), (-1.0, a)] for a, b in zip(first, second, strict=True)],
        )
        for (before, first), (after, second) in pairwise(found)
    )
    return accuracy, gain


def _band(family: str, name: str, scores: list[list[tuple[float, Seeds]]]) -> Band:
    ends = [intervals.contrast(terms) for terms in scores]
    mean, low, high = (tuple(100 * getattr(end, name) for end in ends) for name in ("estimate", "low", "high"))
    return Band(family, name, mean, low, high)


def step_name(before: Shown, after: Shown) -> str:
    """Return the label of a difference between two networks."""
    added = "BR" if after.model.refine and not before.model.refine else style.label(after.model)
    return f"{added} over {style.label(before.model)}"


def with_weights(material: Material) -> list[Record]:
    """Return one record of each training, all of the lowest seed whose weights are on this machine.

    Raises:
        FigureError: there is no such seed; the message names the command that trains the missing network.
    """
    from repro.evaluation import trained_model

    by_seed = [{record.seed: record for record in part.records} for part in material.shown]
    common = sorted(set.intersection(*(set(found) for found in by_seed)))
    missing: Record | None = None
    for seed in common:
        records = [(found[seed], with_its_weights(material, found[seed])) for found in by_seed]
        missing = next((record for record, held in records if held is None), None)
        if missing is None:
            return [held for _, held in records if held is not None]
    if missing is None:
        raise FigureError(f"{material.figure.name}: its networks were trained with different seeds; run them again")
    raise FigureError(
        f"{material.figure.name}: the weights of {missing.name} are not on this machine; train them with: "
        f"{trained_model.command(missing)}"
    )


def with_its_weights(material: Material, record: Record) -> Record | None:
    """Return a record of the same training and seed with weights, of any origin."""
    from repro.evaluation import trained_model

    same = (record, *(r for r in material.evidence.shelf.of(record.key) if r.seed == record.seed))
    return next((r for r in same if (r.folder / trained_model.FILE).is_file()), None)
