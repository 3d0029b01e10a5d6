"""What the plots of Table 5's networks and of the losses show, from records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from repro import areas, metrics, statistics
from repro.commands.gathering import Material, Shown
from repro.measured import fingerprint
from repro.records import Record
from repro.render.figures import boundary_profile, class_gains, field_area, size_profile, style, training_curves
from repro.render.figures.blueprint import FigureError
from repro.spec import GCN, Conv
from repro.statistics import Draws

Ints = NDArray[np.int64]
Seeds = Mapping[int, Draws]
DISTANCES = tuple(range(1, metrics.BINS - 1))
FEWEST = 20
"""Images that must hold an object of a size: resampled images then hold one too."""
Bands = tuple[boundary_profile.Band, ...]


def _draws(part: Shown, split: Callable[[Record], list[Ints]], metric: str) -> list[Seeds]:
    """Return the draws of several scores of one network by seed.

    ``split`` gives for each score what every image adds to its sums: (n, 2) right and seen, or for ``miou`` (n, 3).
    """
    by_seed = {record.seed: [_draw(sums, record, metric) for sums in split(record)] for record in part.records}
    count = len(next(iter(by_seed.values())))
    return [{seed: draws[i] for seed, draws in by_seed.items()} for i in range(count)]


def _draw(sums: Ints, record: Record, metric: str) -> Draws:
    """Return one score and its values on the resampled images, those of the record's test set."""
    test = record.meta["spec"].get("test") if isinstance(record.meta["spec"], Mapping) else None
    images = len(sums)
    value = float(statistics.pooled(metric, sums.sum(axis=0).astype(np.float64)))
    if images < statistics.FEWEST_IMAGES:
        return Draws(value, np.full(statistics.RESAMPLES, np.nan), images)
    weights = statistics.weights(images, fingerprint(test))
    return Draws(value, statistics.pooled(metric, weights @ sums.astype(np.float64)), images)


def boundary(material: Material) -> boundary_profile.BoundaryProfile:
    """Return the accuracy at each distance to the boundary, and what each network adds to the one before it."""

    def split(record: Record) -> list[Ints]:
        return [material.evidence.counts(record)["distance"][:, d] for d in DISTANCES]

    accuracy, gain = _profile(material, split)
    return boundary_profile.BoundaryProfile(
        material.profile.name, material.place, material.seeds, material.images, metrics.WITHIN, DISTANCES, accuracy,
        gain,
    )  # fmt: skip


def _profile(material: Material, split: Callable[[Record], list[Ints]]) -> tuple[Bands, Bands]:
    """Return the accuracies of the networks, and what each adds to the one before it."""
    found = [(part, _draws(part, split, "pixel_acc")) for part in material.shown]
    accuracy = tuple(
        _band(style.family(part.model), style.label(part.model), [[(1.0, seeds)] for seeds in draws])
        for part, draws in found
    )
    gain = tuple(
        _band(
            style.family(after.model),
            _step(before, after),
            [[(1.0, b), (-1.0, a)] for a, b in zip(first, second, strict=True)],
        )
        for (before, first), (after, second) in pairwise(found)
    )
    return accuracy, gain


def sizes(material: Material, counts: Callable[[Record], Ints]) -> size_profile.SizeProfile:
    """Return the accuracy at each size of object, and what each network adds to the one before it.

    Args:
        material: the records.
        counts: gives a record's (n, 21, 2) right and seen, see ``records.Record``.

    Raises:
        FigureError: hardly any image holds an object.
    """
    held = {record.name: counts(record) for part in material.shown for record in part.records}
    holding = (next(iter(held.values()))[..., 1] > 0).sum(axis=0)
    bins = [int(i) for i in np.flatnonzero(holding >= FEWEST)]
    if not bins:
        raise FigureError(f"{material.figure.name}: no size of object is in {FEWEST} test images; take more")
    accuracy, gain = _profile(material, lambda record: [held[record.name][:, i] for i in bins])
    return size_profile.SizeProfile(
        profile=material.profile.name,
        place=material.place,
        seeds=material.seeds,
        images=material.images,
        sizes=tuple(2**i for i in bins),
        holding=tuple(int(holding[i]) for i in bins),
        fewest=FEWEST,
        accuracy=accuracy,
        gain=gain,
    )


def _band(family: str, name: str, scores: list[list[tuple[float, Seeds]]]) -> boundary_profile.Band:
    ends = [statistics.contrast(terms) for terms in scores]
    mean, low, high = (tuple(100 * getattr(end, name) for end in ends) for name in ("estimate", "low", "high"))
    return boundary_profile.Band(family, name, mean, low, high)


def _step(before: Shown, after: Shown) -> str:
    """Return what a network adds to the one before it, in words."""
    added = "BR" if after.model.refine and not before.model.refine else style.label(after.model)
    return f"{added} over {style.label(before.model)}"


def gains(material: Material) -> class_gains.Gains:
    """Return what each network adds to each class's IoU, and to the mean of the classes."""
    classes = tuple(str(name) for name in material.shown[0].records[0].meta.get("classes", ()))
    width = material.evidence.counts(material.shown[0].records[0])["classes"].shape[1]
    names = classes if len(classes) == width else tuple(f"class {i}" for i in range(width))

    def split(record: Record) -> list[Ints]:
        counts = material.evidence.counts(record)["classes"]
        return [*(counts[:, i] for i in range(width)), counts.reshape(len(counts), -1)]

    found = [(part, _draws(part, split, "miou")) for part in material.shown]
    series = tuple(
        class_gains.Series(style.family(after.model), _step(before, after), _gains(first, second))
        for (before, first), (after, second) in pairwise(found)
    )
    return class_gains.Gains(
        material.profile.name, material.place, material.seeds, material.images, names, series
    )  # fmt: skip


def _gains(before: list[Seeds], after: list[Seeds]) -> tuple[class_gains.Gain, ...]:
    ends = [statistics.contrast([(1.0, b), (-1.0, a)]) for a, b in zip(before, after, strict=True)]
    return tuple(class_gains.Gain(100 * end.estimate, 100 * end.low, 100 * end.high) for end in ends)


def fields(material: Material) -> field_area.Curve:
    """Return the stored areas of valid receptive fields against k, and how their order follows k's.

    Raises:
        FigureError: a record has no stored areas, or they were measured in several ways; the sentence says what to run.
    """
    found = {(part, record.seed): _stored(material, record) for part in material.shown for record in part.records}
    ways = {(one.settings, one.size, tuple((f.image, f.at) for f in one.fields)) for one in found.values()}
    if len(ways) > 1:
        raise FigureError(
            f"{material.figure.name}: areas were measured in {len(ways)} ways; {_measure(material)} --again"
        )
    points = []
    for part in material.shown:
        means = tuple(found[part, record.seed].mean for record in part.records)
        points.append(field_area.Point(_size(part), tuple(record.seed for record in part.records), means))
    points.sort(key=lambda point: point.k)
    one = next(iter(found.values()))
    pairs = [(p.k, seed, mean) for p in points for seed, mean in zip(p.seeds, p.areas, strict=True)]
    whole = stats.spearmanr([k for k, _, _ in pairs], [mean for *_, mean in pairs])
    seeds = sorted({seed for _, seed, _ in pairs})
    by_seed = [[(k, mean) for k, own, mean in pairs if own == seed] for seed in seeds]
    return field_area.Curve(
        profile=material.profile.name,
        place=material.place,
        rule=one.settings.rule,
        images=len(one.fields),
        size=one.size,
        object_area=one.object_area,
        points=tuple(points),
        rank=float(whole.statistic),
        p_value=float(whole.pvalue),
        rank_by_seed=tuple(float(stats.spearmanr(*zip(*rows, strict=True)).statistic) for rows in by_seed),
        **{name: getattr(one.settings, name) for name in ("occluder", "stride", "threshold")},
    )


def _size(part: Shown) -> int:
    """Return the kernel size of a network's heads, 1 for the baseline."""
    k = part.model.head.k if isinstance(part.model.head, GCN) else 1
    assert isinstance(k, int)
    return k


def _stored(material: Material, record: Record) -> areas.Areas:
    """Return a record's areas, from whichever place has them."""
    same = [r for r in material.evidence.shelf.of(record.key) if r.seed == record.seed]
    found = next((stored for r in (record, *same) if (stored := areas.read(r.folder))), None)
    if found is None:
        raise FigureError(f"{material.figure.name}: {record.name} has no areas; {_measure(material)}")
    return found


def _measure(material: Material) -> str:
    return f"measure them with: repro vrf-area table1 --profile {material.profile.name} --seeds {material.seeds}"


def training(material: Material) -> training_curves.Logs:
    """Return the logged losses of every seed, those that diverged too.

    Raises:
        FigureError: a record has no log.
    """
    logs = []
    for part in material.shown:
        for record in (*part.records, *part.found.diverged):
            lines = record.log()
            if not lines:
                raise FigureError(f"{record.name}: its log.jsonl is missing or empty; restore it or run it again")
            head = part.model.head
            assert isinstance(head, Conv | GCN)
            assert isinstance(head.k, int)
            steps, losses = zip(*((int(line["step"]), float(line["loss"])) for line in lines), strict=True)
            family = "conv" if isinstance(head, Conv) else style.family(part.model)
            logs.append(training_curves.Log(family, head.k, record.seed, record.status, steps, losses))
    return training_curves.Logs(material.profile.name, material.place, tuple(logs))
