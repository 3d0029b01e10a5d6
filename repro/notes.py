"""What stands under a table: what a printed width means here, how large the boundary region is, other readings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from repro import metrics, paper
from repro.identity import Identity, Sources, conflicts, shown
from repro.keys import key
from repro.profiles import Profile
from repro.published import shortfall
from repro.spec import PAPER_CHANNELS, Evaluation, Model, Stack, Table
from repro.views import CellView

RIMS = {"edge": "the void rim an edge", "filled": "the void rim filled first"}
MILLION = 1e6


def notes(table: Table, profile: Profile, cells: Iterable[CellView], counts: Mapping[str, int | str]) -> Iterator[str]:
    """Yield the notes of a table, a sentence each.

    Args:
        table: the spec.
        profile: which networks stand for the paper's.
        cells: the table's cells as measured.
        counts: stored counts, by key.
    """
    cells = tuple(cells)
    yield from _other_data(cells)
    yield from _other_arithmetic(cells)
    yield from _partial(cells)
    yield from _widths(table, profile)
    yield from _boundary(table, cells)
    yield from _readings(table, counts)


def _other_data(cells: Iterable[CellView]) -> Iterator[str]:
    """Name the scores that come from other data or start weights than the table's, and both fingerprints."""
    used: dict[str, Sources] = {}
    apart: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        for outcome in cell.outcomes:
            for sample in outcome.measurement.samples if outcome.measurement else ():
                used[outcome.place] = {**used.get(outcome.place, {}), **sample.record.identity.sources}
    for cell in cells:
        for outcome in cell.outcomes:
            for sample in outcome.measurement.other_data if outcome.measurement else ():
                theirs, ours = sample.record.identity.sources, used.get(outcome.place, {})
                names = conflicts(theirs, ours)
                what = shown(theirs, names) + (f" instead of {shown(ours, names)}" if names else "")
                text = f"{_at(cell)} {sample.value:.1f} (seed {sample.seed})"
                apart.setdefault((outcome.place, what), []).append(text)
    for (place, what), scores in apart.items():
        yield f"other data ({place}), {what}: {'; '.join(scores)}; not pooled or compared with the rest"
    here, there = used.get("local", {}), used.get("reference", {})
    if names := conflicts(here, there):
        yield (
            f"local and reference are of different data ({shown(here, names)} local, {shown(there, names)} "
            "reference): their scores are not to be compared"
        )


def _other_arithmetic(cells: Iterable[CellView]) -> Iterator[str]:
    """Lay scores of one seed that two devices or precisions gave beside each other."""
    for cell in cells:
        for outcome in cell.outcomes:
            found = outcome.measurement
            taken = {sample.seed: sample for sample in found.samples} if found else {}
            for sample in found.other_arithmetic if found else ():
                if sample.seed in taken:
                    ours = taken[sample.seed]
                    yield (
                        f"{_at(cell)}, seed {sample.seed}, twice ({outcome.place}): {ours.value:.1f} by "
                        f"{_by(ours.record.identity)}, {sample.value:.1f} by {_by(sample.record.identity)}; "
                        "the first counts"
                    )


def _partial(cells: Iterable[CellView]) -> Iterator[str]:
    """Name the splits that hold fewer images than are published, by place."""
    found: dict[str, dict[str, None]] = {}
    for cell in cells:
        for outcome in cell.outcomes:
            for sample in outcome.measurement.samples if outcome.measurement else ():
                if words := shortfall(sample.record.meta.get("partial")):
                    found.setdefault(outcome.place, {})[words] = None
    for place, said in found.items():
        yield f"fewer images than published ({place}): {'; '.join(said)}"


def _at(cell: CellView) -> str:
    return f"{cell.row}, {cell.column}:"


def _by(identity: Identity) -> str:
    made = identity.arithmetic
    return f"{made.get('device_type')} in {made.get('precision')}"


def _widths(table: Table, profile: Profile) -> Iterator[str]:
    """Say what the printed m of a stack stands for where the backbone is narrower than the paper's (Table 4)."""
    models = [score.training.model for score in table.scores()]
    heads = [model.head for model in models if isinstance(model, Model)]
    printed = sorted({head.m for head in heads if isinstance(head, Stack)}, reverse=True)
    last = profile.last_channels
    if len(printed) > 1 and last != PAPER_CHANNELS:
        here = ", ".join(str(max(1, round(last * m / PAPER_CHANNELS))) for m in printed)
        yield (
            f"m is printed for the {PAPER_CHANNELS} channels of res-5, which has {last} here: in the scores "
            f"m = {', '.join(map(str, printed))} stand for {here}; parameters are those of the paper's network"
        )


def _boundary(table: Table, cells: Iterable[CellView]) -> Iterator[str]:
    """Say how the boundary region is taken and which share of the scored pixels it has, by place (Table 5)."""
    found = [score.evaluation for score in table.scores() if score.metric == "boundary_acc"]
    shares: dict[str, float] = {}
    for cell in cells:
        for outcome in cell.outcomes if cell.metric == "boundary_acc" else ():
            samples = outcome.measurement.samples if outcome.measurement else ()
            if samples and outcome.place not in shares:  # of the labels alone, so that any record tells it
                shares[outcome.place] = metrics.boundary_share(samples[0].record.counts()["distance"])
    if found:
        share = "; ".join(f"{100 * share:.1f} % of the scored pixels ({place})" for place, share in shares.items())
        yield f"boundary: {_region(found[0])}{f': {share}' if share else ''}"


def _region(evaluation: Evaluation) -> str:
    name = "Euclidean" if evaluation.distance == "euclidean" else evaluation.distance
    return f"{name} distance of {metrics.WITHIN} pixels at most to another label, {RIMS[evaluation.rim]}"


def _readings(table: Table, counts: Mapping[str, int | str]) -> Iterator[str]:
    """Lay every reading of a printed count beside the print, and say which one is taken (Table 11)."""
    for reading in table.readings:
        ours, printed = counts.get(key(reading.cost)), paper.printed(table.number, reading.at.row, reading.at.column)
        if isinstance(ours, int) and printed is not None and printed.value is not None:
            off = (ours - printed.value) / MILLION
            yield (
                f"{reading.at.row}, {reading.at.column}, {reading.says}{' (taken here)' * reading.taken}: "
                f"{ours / MILLION:,.0f} beside {printed.text}, {off:+,.0f}"
            )
