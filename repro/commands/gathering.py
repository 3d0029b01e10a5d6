"""What the plots show, from records and closed forms: no torch, and nothing is drawn here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from repro import formulas, paper, specs, statistics
from repro.experiment import Run
from repro.measured import Evidence, Measurement
from repro.profiles import Profile
from repro.records import Record
from repro.render.figures import cost_curve, kernel_curve, style
from repro.render.figures.blueprint import FigureError
from repro.spec import GCN, PAPER_CHANNELS, Conv, Figure, Head, Model, Stack, Table, Training

CLASSES, SIDE = 21, 16
SIZES = (3, 5, 7, 9, 11, 13, 15)


@dataclass(frozen=True)
class Shown:
    """One training of a figure: its run, and what the records of one place say about it."""

    training: Training
    run: Run
    found: Measurement

    @property
    def model(self) -> Model:
        """The network as the paper names it (``k`` uncut, its own backbone)."""
        assert isinstance(self.training.model, Model)
        return self.training.model

    @property
    def records(self) -> tuple[Record, ...]:
        """The records that ran to their end, one a seed."""
        return tuple(sample.record for sample in self.found.samples)


@dataclass(frozen=True)
class Material:
    """The records behind one figure, all of one profile and one place."""

    figure: Figure
    profile: Profile
    place: str
    evidence: Evidence
    shown: tuple[Shown, ...]

    @property
    def runs(self) -> list[str]:
        """Names of every record that is shown, diverged ones too."""
        return sorted({record.name for part in self.shown for record in part.found.records})

    @property
    def seeds(self) -> int:
        """Seeds of the training that has the fewest."""
        return min(len(part.records) for part in self.shown)

    @property
    def images(self) -> int:
        """Images that were tested."""
        return int(self.shown[0].records[0].meta.get("test_images", 0))


def gather(figure: Figure, profile: Profile, evidence: Evidence, places: Sequence[str]) -> Material:
    """Return the records of the first place that has all of a figure's trainings.

    Raises:
        FigureError: the profile has no such data, or some trainings have no record; the sentence names the command.
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


def _shown(figure: Figure, training: Training, profile: Profile, evidence: Evidence, place: str) -> Shown:
    run = profile.resolve(training)
    if run is None:
        raise FigureError(f"{figure.name}: profile {profile.name} has no data for it; choose another with --profile")
    return Shown(training, run, evidence.measure(run.key, place, "miou"))


def _usable(figure: Figure, part: Shown) -> bool:
    """Tell whether a training can be shown: one whose seeds all diverged only where losses are drawn."""
    return bool(part.records) or (figure.name == "training_curves" and bool(part.found.diverged))


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004


def _tables(figure: Figure) -> list[str]:
    """Return the fewest tables whose cells hold every training of a figure."""
    wanted, chosen = set(figure.trainings), []
    held = {table.number: _trainings(table) for table in specs.tables().values()}
    while wanted:
        best = max(held, key=lambda number: (len(held[number] & wanted), -number))
        if not held[best] & wanted:
            break
        chosen.append(best)
        wanted -= held[best]
    return [specs.tables()[number].name for number in sorted(chosen)] or ["all"]


def _trainings(table: Table) -> set[Training]:
    return {score.training for score in table.scores()}


def costs() -> cost_curve.Costs:
    """Return parameters and multiply-adds of the heads after res-5 (Table 2), by closed forms."""
    kinds: dict[str, tuple[str, Callable[[int], Head]]] = {
        "gcn": ("GCN", GCN),
        "conv": ("Conv k × k", Conv),
        "stack": ("Stack, m = 2048", Stack),
    }
    heads = []
    for family, (name, make) in kinds.items():
        found = [formulas.layers(make(k), PAPER_CHANNELS, CLASSES, SIDE) for k in SIZES]
        params = tuple(sum(layer.params for layer in layers) for layers in found)
        macs = tuple(sum(layer.macs for layer in layers) for layers in found)
        heads.append(cost_curve.Head(family, name, SIZES, params, macs))
    return cost_curve.Costs(PAPER_CHANNELS, CLASSES, SIDE, tuple(heads))


def kernel(material: Material) -> kernel_curve.Curve:
    """Return Table 1 as a curve."""
    points = tuple(_point(material, part) for part in material.shown)
    return kernel_curve.Curve(
        material.profile.name, material.place, material.seeds, material.images, tuple(sorted(points, key=lambda p: p.k))
    )


def _point(material: Material, part: Shown) -> kernel_curve.Point:
    k = part.model.head.k if isinstance(part.model.head, GCN) else 1
    assert isinstance(k, int)
    draws = {record.seed: material.evidence.draws(record, "miou") for record in part.records}
    interval = statistics.contrast([(1.0, draws)])
    return kernel_curve.Point(
        k=k,
        printed=paper.number(1, "Score", "base" if k == 1 else str(k)),
        mean=part.found.mean,
        low=100 * interval.low,
        high=100 * interval.high,
        values=part.found.values,
        diverged=len(part.found.diverged),
    )
