"""`repro verify`: make records again, from their weights or by training, and compare the outcome."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from torch import nn

from repro import models
from repro.cli import options
from repro.cli.options import Request, out
from repro.config import identity
from repro.config.errors import RecordError, SpecError, near
from repro.config.experiment import Job, Run
from repro.config.machine import Machine, cores
from repro.evaluation.evaluator import Counts
from repro.models.weights import inherit
from repro.paper.tables import select_tables
from repro.results import metrics, records
from repro.results.records import Record, RecordStore
from repro.results.restore import run_of
from repro.runner.job import Session
from repro.runner.launchers import Local
from repro.runner.plan import plan_runs
from repro.runner.progress import display
from repro.runner.sources import known_here

WITHIN = 0.1
"""Points within which an outcome of other bits still counts as the same result."""


@click.command()
@options.table_words(complete=options.complete_records)
@options.profile
@options.seeds
@options.runs
@options.data_root
@options.weights
@options.cache
@options.device
@click.option("--jobs", type=options.POSITIVE, help="processes side by side where records are trained again")
@click.option(
    "--within",
    type=options.Number(min=0),
    default=WITHIN,
    show_default=True,
    help="points that count as the same result",
)
@options.as_json
def verify(*, jobs: int | None, within: float, as_json: bool, **words: Any) -> None:  # noqa: ANN401 - the fields of Request and Machine
    """Make records anew: from their weights where they are here, else by training again.

    TABLE is table2, 2, 1,3-5 or all, or the key or name of a record. Nothing that exists is changed. Exits with 1
    where an outcome differs.
    """
    request, place = options.make(Request, words), options.make(Machine, words)
    sys.exit(verify_records(out, request, place, within=within, jobs=jobs, as_json=as_json))


@dataclass(frozen=True)
class Verified:
    """One record beside the same run made again."""

    name: str
    how: str
    """``evaluated`` (its weights are here) or ``trained``."""
    verdict: str
    """``same bits``, ``within``, ``differs`` or ``not made``."""
    points: float = math.nan
    """Largest difference of a score, in points."""
    why: str = ""
    """Differences from the first time, or the reason why it could not be made."""

    @property
    def sentence(self) -> str:
        """The line of the terminal."""
        off = "" if self.verdict in {"same bits", "not made"} else f" {self.points:.2f} points"
        return f"{self.name}: {self.how}, {self.verdict}{off}" + (f" ({self.why})" if self.why else "")


def verify_records(
    out: Console, request: Request, place: Machine, *, within: float = WITHIN, jobs: int | None, as_json: bool
) -> int:
    """Make the records that ``request`` names anew and compare them; return the exit code, 1 where one differs.

    A record with its weights is evaluated again, any other trained again, with its own precision, layout and threads,
    in a temporary folder. Nothing that exists is changed.

    Raises:
        SpecError: nothing has the name, or the data or weights here are not the record's.
    """
    chosen = _chosen(request)
    for record in chosen:
        _refuse_other_sources(record, place)
    found: list[Verified] = []
    with tempfile.TemporaryDirectory(prefix="repro-verify-") as folder:
        anew = [record for record in chosen if not _has_weights(record)]
        for record in chosen:
            if _has_weights(record):
                found.append(_evaluated(record, replace(place, **_as_made(record, place)), Path(folder), within))
                _say(out, found[-1], as_json=as_json)
        for settings, same in _groups(anew, place):
            there = replace(place, runs=Path(folder), **settings)
            for one in _trained(out, same, there, jobs, within, quiet=as_json):
                found.append(one)
                _say(out, one, as_json=as_json)
    if as_json:
        out.print_json(json.dumps([_tree(one) for one in found]))
    return 1 if any(one.verdict in {"differs", "not made"} for one in found) else 0


def _say(out: Console, one: Verified, *, as_json: bool) -> None:
    if not as_json:
        style = {"same bits": "green", "within": "green"}.get(one.verdict, "red")
        out.print(one.sentence, style=style, soft_wrap=True, markup=False)


def _tree(one: Verified) -> dict[str, Any]:
    points = None if math.isnan(one.points) else round(one.points, 4)
    return {"name": one.name, "how": one.how, "verdict": one.verdict, "points": points, "why": one.why}


def _chosen(request: Request) -> list[Record]:
    """Return the records of tables, keys or names, the project's and this machine's."""
    shelf, found = request.shelf, dict[str, Record]()
    for word in request.tables:
        named = [r for r in shelf.records if word in {r.key, r.name}] or _of_tables(word, request, shelf)
        for record in named:
            if record.status in {"ok", "diverged"} and record.seed in range(request.seeds):
                found[f"{record.place}/{record.name}"] = record
    if not found:
        raise SpecError(f"{', '.join(request.tables)}: no record to verify; repro status --records lists them")
    return list(found.values())


def _of_tables(word: str, request: Request, shelf: RecordStore) -> list[Record]:
    try:
        select_tables([word])
    except SpecError as error:
        names = {name for record in shelf.records for name in (record.key, record.name)}
        raise SpecError(
            f"{word!r} is neither a table nor key or name of a record; see repro status{near(word, names)}"
        ) from error
    keys = {run.key for run in replace(request, tables=(word,)).plan(shelf).cells.values() if run is not None}
    return [record for record in shelf.records if record.key in keys]


def _has_weights(record: Record) -> bool:
    return record.status == "ok" and (record.folder / records.WEIGHTS).is_file()


def _refuse_other_sources(record: Record, place: Machine) -> None:
    theirs = record.identity.sources
    here = known_here(theirs, place)
    if other := identity.conflicts(theirs, here):
        raise SpecError(
            f"{record.name}: was made from {identity.shown(theirs, other)}, and {identity.shown(here, other)} is "
            "here; name the first data and weights"
        )


def _as_made(record: Record, place: Machine) -> dict[str, Any]:
    """Return device, precision, layout and threads of the first time, as far as this machine has them."""
    made = record.identity.arithmetic
    device = place.device if place.device != "auto" or made.get("device_type") != "cpu" else "cpu"
    return {
        "device": device,
        "precision": "bf16" if str(made.get("precision", "")).startswith("bf16") else "32",
        "layout": "default" if made.get("layout") == "contiguous_format" else "channels_last",
        "threads": int(made.get("threads") or 1),
        "compile": bool(made.get("compile")),
    }


def _groups(chosen: Iterable[Record], place: Machine) -> list[tuple[dict[str, Any], list[Record]]]:
    """Return records by their settings."""
    found: list[tuple[dict[str, Any], list[Record]]] = []
    for record in chosen:
        settings = _as_made(record, place)
        same = next((group for known, group in found if known == settings), None)
        if same is None:
            found.append((settings, [record]))
        else:
            same.append(record)
    return found


class _Evaluation(Session):
    """A session that evaluates the weights which a record of the same run holds."""

    def __init__(self, record: Record, run: Run, place: Machine, work: Path) -> None:
        self.record = record
        super().__init__(run, record.seed, place, work, None)

    @property
    def trains(self) -> bool:
        return False

    @cached_property
    def net(self) -> nn.Module:
        net = models.build(self.run.model, len(self.test_set.classes))
        inherit(net, self.record.weights())
        return net.to(memory_format=self.layout)


def _evaluated(record: Record, place: Machine, folder: Path, within: float) -> Verified:
    try:
        session = _Evaluation(record, run_of(record), place, folder)
        counts = session.evaluate(lambda _: None)
        why = "" if session.identity.arithmetic == record.identity.arithmetic else "other arithmetic"
        return compared(record, "evaluated", counts, record.counts(), within, why)
    except ValueError as error:
        return Verified(record.name, "evaluated", "not made", why=str(error))


def _trained(
    out: Console, chosen: list[Record], place: Machine, count: int | None, within: float, *, quiet: bool
) -> Iterable[Verified]:
    """Train records again, with the first stages that they build on, and yield each comparison."""
    jobs: dict[str, Job] = {}
    for record in chosen:
        run = run_of(record)
        for job in plan_runs(run.profile, {(0, "", ""): run}, [record.seed], RecordStore(())).jobs:
            jobs.setdefault(job.name, job)
    launcher = Local(count or max(1, min(cores() // place.threads, len(jobs))), place)
    with display(Console(quiet=True) if quiet else out, len(jobs)) as watch:
        ended = {end.name: end for end in launcher.run(jobs.values(), frozenset(), watch)}
    made = {(r.key, r.seed): r for r in records.load({"local": place.local}).records}
    for record in chosen:
        again = made.get((record.key, record.seed))
        if again is None:
            [message] = [e.message for e in ended.values() if f"{record.key}-s{record.seed}" in e.name] or [""]
            yield Verified(record.name, "trained", "not made", why=message)
            continue
        yield _beside(record, again, within)


def _beside(record: Record, again: Record, within: float) -> Verified:
    why = "; ".join(_differences(record.meta, again.meta))
    if "diverged" in {record.status, again.status}:
        same = record.status == again.status and record.meta.get("diverged_at") == again.meta.get("diverged_at")
        word = f"{record.status} the first time, {again.status} now"
        why = "" if same else f"{word}; {why}" if why else word
        return Verified(record.name, "trained", "same bits" if same else "differs", why=why)
    try:
        found = compared(record, "trained", again.counts(), record.counts(), within, why)
    except RecordError as error:
        return Verified(record.name, "trained", "not made", why=str(error))
    losses = [[line.get("loss") for line in r.log()] for r in (record, again)]
    if found.verdict == "same bits" and all(losses) and losses[0] != losses[1]:
        return replace(found, verdict="within", points=0.0, why="the losses differ" + (f"; {why}" if why else ""))
    return found


def compared(
    record: Record, how: str, ours: Counts, theirs: Mapping[str, Any], within: float, why: str = ""
) -> Verified:
    """Return the verdict on two evaluations of one run: equal counts, or the largest difference of a score."""
    same = ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)
    if same:
        return Verified(record.name, how, "same bits", 0.0)
    metric = metrics.main(ours).name
    points = 100.0 * abs(metrics.score(metric, ours) - metrics.score(metric, theirs))
    return Verified(record.name, how, "within" if points <= within else "differs", points, why)


def _differences(first: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the differences from the first time in words: arithmetic, device, versions."""
    theirs, ours = identity.read(first), identity.read(now)
    if "identity" not in first:  # the first schema names the sources of the last stage only
        ours = replace(ours, sources={name: value for name, value in ours.sources.items() if name in theirs.sources})
    found = identity.changes(replace(theirs, parent=""), replace(ours, parent=""))
    names = (name for name in ("device", "torch", "git_commit") if first.get(name) != now.get(name))
    return found + [f"{name} {first.get(name)} there, {now.get(name)} here" for name in names]
