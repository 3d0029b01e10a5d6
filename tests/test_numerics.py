"""The arithmetic has a version: tiny trainings give the committed losses, and earlier files can be taken up."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from repro.config.identity import NUMERICS
from repro.results.records import load
from tests.support import ROOT, short_runs

GOLDEN = ROOT / "tests" / "golden" / "numerics"
TOLERANCE = 1e-4
"""Relative difference of the mean loss of a few steps that another processor, or another torch, may bring.

Measured with torch 2.11 and 2.15, with AVX2 and AVX-512: 2e-6 to 1e-5.
"""
SHORT, LONG = {"gcn-k3": 3, "gcn-k7": 5}, {"gcn-k3": 30}
"""Steps: those before rounding grows, compared everywhere; and more, compared where bits must be equal."""
WRITES = os.environ.get("REPRO_GOLDEN") == "write"


def family() -> str:
    """Return what rounding depends on: the processor's maker and instructions, and torch's version."""
    maker = "unknown"
    info = Path("/proc/cpuinfo")
    if info.exists():
        maker = next((w.split()[-1] for w in info.read_text().splitlines() if w.startswith("vendor_id")), maker)
    return f"{maker} {torch.backends.cpu.get_cpu_capability()} torch {'.'.join(torch.__version__.split('.')[:2])}"


def losses(folder: Path, name: str, steps: int) -> list[float]:
    """Return the logged losses of a training in ``folder``."""
    place = short_runs.place(folder / str(steps), folder / "cache")
    task = short_runs.job(steps=steps, k=int(name.removeprefix("gcn-k")))
    assert short_runs.execute(task, place).status == "ok"
    [record] = load({"local": place.local}).of(task.run.key)
    assert record.identity.arithmetic["numerics"] == NUMERICS
    return [float(line["loss"]) for line in record.log()]


def committed() -> dict[str, Any]:
    """Return the committed losses, which belong to this version of the numerics."""
    tree: dict[str, Any] = json.loads((GOLDEN / "losses.json").read_text(encoding="utf-8"))
    assert tree["numerics"] == NUMERICS, "NUMERICS was raised: renew tests/golden/numerics (REPRO_GOLDEN=write)"
    return tree


def test_losses_are_the_committed_ones(tmp_path: Path) -> None:
    """The same bits on a processor that made them; a few steps within the tolerance on any."""
    short = {name: losses(tmp_path, name, steps) for name, steps in SHORT.items()}
    long = {name: losses(tmp_path, name, steps) for name, steps in LONG.items()}
    if WRITES:
        _write(short, long)
    tree = committed()
    for name, found in short.items():
        assert found == pytest.approx(tree["short"][name], rel=TOLERANCE)
    exact = tree["exact"].get(family())
    if exact is None:
        pytest.skip(f"bits are committed for {', '.join(tree['exact'])}, not for {family()}; the tolerance held")
    assert {name: [value.hex() for value in found] for name, found in (short | long).items()} == exact


def _write(short: dict[str, list[float]], long: dict[str, list[float]]) -> None:
    path = GOLDEN / "losses.json"
    tree = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    exact = tree["exact"] if tree.get("numerics") == NUMERICS else {}
    exact[family()] = {name: [value.hex() for value in found] for name, found in (short | long).items()}
    short = tree["short"] if tree.get("numerics") == NUMERICS else short
    GOLDEN.mkdir(exist_ok=True)
    tree = {"numerics": NUMERICS, "short": short, "exact": exact}
    path.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")


def test_a_committed_checkpoint_and_record_are_taken_up(tmp_path: Path) -> None:
    """A checkpoint of this numerics, written by an earlier commit, goes on to the end; its record is read.

    Threads, precision and data are those of its identity, so nothing is refused.
    """
    place = short_runs.place(tmp_path / "runs", tmp_path / "cache", seconds=1e9)
    task = short_runs.job(steps=20)
    if WRITES:
        _write_stopped(tmp_path)
    shutil.copytree(GOLDEN / "stopped", place.work / task.name)
    steps: list[int] = []
    end = short_runs.execute(task, place, lambda event: steps.append(int(event.get("step", 0))))
    assert end.status == "ok"
    [record] = load({"local": place.local}).records
    [kept] = load({"local": GOLDEN / "runs"}).records
    assert (record.key, record.seed) == (kept.key, kept.seed)
    assert [line["step"] for line in record.log()] == [10, 20]
    assert record.log()[0] == kept.log()[0]
    assert record.log()[1]["loss"] == pytest.approx(kept.log()[1]["loss"], rel=0.05)
    kept.counts()


def _write_stopped(folder: Path) -> None:
    """Write the checkpoint of a run stopped after 10 of 20 steps, and the record of the whole one without weights."""
    from repro.training import checkpoint

    task = short_runs.job(steps=20)
    saved, place = checkpoint.save, short_runs.place(folder / "made", folder / "cache", seconds=0.0)

    def keep(work: Path, state: Any, step: int, *more: Any) -> Path:
        path = saved(work, state, step, *more)
        if step == 10:  # the log, too, ends here
            shutil.rmtree(GOLDEN / "stopped", ignore_errors=True)
            shutil.copytree(work, GOLDEN / "stopped")
        return path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save", keep)
        short_runs.execute(task, place)
    shutil.rmtree(GOLDEN / "runs", ignore_errors=True)
    shutil.copytree(place.local, GOLDEN / "runs", ignore=shutil.ignore_patterns("*.safetensors", ".*"))
