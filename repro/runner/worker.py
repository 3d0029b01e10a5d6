"""Do one job from start to record: data, network, training, evaluation."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.config.errors import WorkError
from repro.config.experiment import Run, source_names
from repro.config.identity import conflicts
from repro.config.io import HeldError, locked, remedy
from repro.config.machine import Machine
from repro.results import records
from repro.runner import leftovers, sources
from repro.runner.job import Session, facts
from repro.training.checkpoint import Spent
from repro.training.signals import StopFlag

Emit = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Done:
    """How a job ended: ``ok``, ``diverged``, ``interrupted``, ``busy`` (another process has it), ``error``."""

    name: str
    status: str
    message: str = ""
    seconds: float = 0.0


def execute(run: Run, seed: int, name: str, place: Machine, emit: Emit) -> Done:
    """Run a job unless its record exists; hold its lock meanwhile.

    Args:
        run: what to train and evaluate.
        seed: of initialisation and batches.
        name: folder of its record under ``place.local``.
        place: folders, device, precision, threads.
        emit: receives progress events with ``phase`` and ``step``/``steps``.

    Raises:
        Interrupted: a stop signal came.
    """
    with held(name, place) as word:
        return perform(run, seed, name, place, emit) if word == "go" else Done(name, word)


@contextmanager
def held(name: str, place: Machine) -> Iterator[str]:
    """Hold a job's lock, which ends with the process that holds it, however it ends.

    Yields:
        ``go``: it is ours to do; ``busy``: another process has it; ``ok``: its record exists.

    Raises:
        WorkError: the folder of unfinished runs cannot be written.
        RecordError: there is a record that cannot be used.
    """
    lock = place.work / f"{name}.lock"
    with ExitStack() as stack:
        try:
            (place.work / name).mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(lock, wait=False))
        except HeldError:
            yield "busy"
            return
        except OSError as error:
            why = remedy(error, "choose another --runs folder")
            raise WorkError(f"{place.work}: cannot be written {why}") from error
        done = records.stands(place.local, name)
        (leftovers.tidy if done else leftovers.clear)(name, place)
        yield "ok" if done else "go"


def perform(run: Run, seed: int, name: str, place: Machine, emit: Emit) -> Done:
    """Do a job whose lock is held; of several processes, the leading one writes."""
    work = place.work / name
    began, spent = time.perf_counter(), Spent()
    emit({"phase": "data"})
    parent = _parent(run, seed, place)
    session = Session(run, seed, place, work, parent)
    outcome = None if session.stillborn else session.train(emit, spent)
    meta = facts(session) | (dataclasses.asdict(outcome) if outcome else {})
    counts: dict[str, Any] = {}
    files: list[Path] = []
    if session.stillborn:
        meta |= {"status": "diverged", "diverged_at": 0}
    elif outcome is None or outcome.status == "ok":
        counts = session.evaluate(emit)
        meta |= {"status": "ok"}
    meta |= spent.state_dict()
    session.fabric.barrier()
    if session.leads:
        if outcome:
            # A run that diverges at its first step has nothing to log.
            files = [path for path in (work / "log.jsonl",) if path.exists()]
            files += [session.export()] if outcome.status == "ok" else []
        with StopFlag():  # half a record helps nobody; what was asked to stop is nearly done
            records.append(place.local, name, meta, counts, files)
            leftovers.tidy(name, place)
    said = "; ".join(session.weights_stride.remarks) if session.weights_stride else ""
    return Done(name, str(meta["status"]), _why(meta) or said, time.perf_counter() - began)


def _why(meta: dict[str, Any]) -> str:
    if meta["status"] != "diverged":
        return ""
    if "last_finite_loss" not in meta:
        return f"the training it builds on, {meta['weights_from']}, diverged"
    last = meta["last_finite_loss"]
    before = "none was finite before" if last is None else f"last finite loss {last:.3g}"
    return f"loss not finite at step {meta['diverged_at']}, {before}"


def _parent(run: Run, seed: int, place: Machine) -> records.Record | None:
    """Return the record whose weights a run needs; None where it needs none.

    Raises:
        WorkError: there is no such record, or it lies here without its weights.
    """
    needed = run.trained() if run.trained() != run else run.start
    if not isinstance(needed, Run):
        return None
    found = [r for r in records.load({"local": place.local}).of(needed.key) if r.seed == seed]
    if len(found) > 1:  # of several data sets or weights, those that are here
        wished = sources.known_here(source_names(run), place)
        found = [r for r in found if not conflicts(r.identity.sources, wished)]
    if not found:
        raise WorkError(f"{needed.slug}-{needed.key}-s{seed}: no record on this machine; run the table that trains it")
    if found[0].status == "ok" and not (found[0].folder / "weights.safetensors").exists():
        raise WorkError(
            f"{found[0].folder}: the record is here without weights.safetensors; "
            f"retract it (repro retract {found[0].name} --why 'weights lost') and run again"
        )
    return found[0]
