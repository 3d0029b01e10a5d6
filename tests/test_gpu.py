"""The same steps on a CPU and on a GPU; skipped where torch sees no CUDA device."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from short_runs import execute, job, place, record

STEPS = 20
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")


def losses(folder: Path) -> list[float]:
    """Return the logged losses of a record, means of ten steps each."""
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


@needs_gpu
def test_twenty_steps_have_the_same_losses_on_both_devices(tmp_path: Path, cache: Path) -> None:
    task = job(STEPS)
    curves = []
    for device in ("cpu", "cuda"):
        where = replace(place(tmp_path / device, cache), device=device)
        assert execute(task, where).status == "ok"
        curves.append(losses(record(where, task)))
    assert len(curves[0]) == STEPS // 10
    assert curves[1] == pytest.approx(curves[0], rel=1e-3)


@needs_gpu
def test_bfloat16_trains_on_the_gpu_and_says_so(tmp_path: Path, cache: Path) -> None:
    task = job(STEPS)
    where = replace(place(tmp_path, cache), device="cuda", precision="bf16")
    assert execute(task, where).status == "ok"
    assert json.loads((record(where, task) / "record.json").read_text(encoding="utf-8"))["precision"] == "bf16-mixed"


def test_a_curve_is_read_from_its_log(tmp_path: Path, cache: Path) -> None:
    task = job(STEPS)
    where = place(tmp_path, cache)
    assert execute(task, where).status == "ok"
    assert len(losses(record(where, task))) == STEPS // 10
