"""Made-up records for tests: any score, any seed, any spec, written as a run would leave them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from repro.experiment import Run
from repro.profiles import get
from repro.spec import Classifier, Score, Table, canonical

IMAGES, CLASSES, PIXELS = 40, 5, 400
ENVIRONMENT = {
    "device": "test device",
    "threads": 1,
    "world_size": 1,
    "precision": "float32",
    "python": "3.11.0",
    "torch": "2.11.0",
    "git_commit": "0123456789abcdef",
    "data": {"shapes": "feedbeef"},
}


def classes(share: float, rng: np.random.Generator, images: int = IMAGES, num_classes: int = CLASSES) -> np.ndarray:
    """Return per-image counts (n, c, 3) in which about ``share`` of each class is right."""
    label = rng.integers(1, PIXELS, size=(images, num_classes))
    both = rng.binomial(label, share)
    return np.stack([both, label, label], axis=2)


def distance(near: float, far: float, rng: np.random.Generator, images: int = IMAGES) -> np.ndarray:
    """Return per-image counts (n, 42, 2) with these accuracies within 7 pixels of the boundary and beyond."""
    seen = rng.integers(1, PIXELS, size=(images, 42))
    seen[:, 0] = 0
    shares = np.where(np.arange(42) <= 7, near, far)
    return np.stack([rng.binomial(seen, shares), seen], axis=2)


def top5(share: float, rng: np.random.Generator, images: int = IMAGES) -> np.ndarray:
    """Return per-image hits (n, 2) of a classifier whose class is among the best five with this chance."""
    five = rng.random(images) < share
    return np.stack([five & (rng.random(images) < share), five], axis=1).astype(np.int64)


def write(root: Path, run: Run, seed: int, share: float = 0.5, **changes: Any) -> Path:
    """Write the record of one run; ``changes`` replace fields of ``record.json`` or, as ``counts``, the counts."""
    rng = np.random.default_rng([seed, int(share * 1e6)])
    default = {"top5": top5(share, rng)} if isinstance(run.model, Classifier) else {"classes": classes(share, rng), "distance": distance(share, share + 0.1, rng)}
    counts = changes.pop("counts", default)
    name = changes.pop("name", f"{run.slug}-{run.key}-s{seed}")
    meta = {
        "schema": 1, "key": run.key, "seed": seed, "status": "ok", "profile": run.profile, "recipe": run.recipe.name,
        "spec": canonical(run), "slug": run.slug, "steps": run.steps, "seconds": 10.0, "images_per_second": 50.0,
        "peak_memory_bytes": 1 << 30, "final_loss": 0.5, **ENVIRONMENT, **changes,
    }
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(meta))
    lines = [{"step": s, "loss": 2.0 / (1 + s), "lr": 0.1, "seconds": s / 10} for s in range(0, 100, 10)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if meta["status"] == "ok" and counts is not None:
        np.savez_compressed(folder / "counts.npz", **counts)
    return folder


def runs(table: Table, profile: str = "shapes") -> dict[str, tuple[Run, int]]:
    """Return each run that a table needs by key, with a number that grows in the order of the cells."""
    found: dict[str, tuple[Run, int]] = {}
    for row in table.rows:
        for cell in row.cells:
            if isinstance(cell, Score):
                run = get(profile).resolve(cell.training, cell.evaluation)
                if run is not None:
                    found.setdefault(run.key, (run, len(found)))
    return found


def fill(root: Path, tables: Mapping[int, Table], share: Callable[[Run, int, int], float], *,
         seeds: int = 3, profile: str = "shapes") -> None:
    """Write a record for every run and seed of some tables, with ``share(run, order, seed)`` right."""
    seen: set[str] = set()
    for table in tables.values():
        for key, (run, order) in runs(table, profile).items():
            if key not in seen:
                seen.add(key)
                for seed in range(seeds):
                    write(root, run, seed, share(run, order, seed))
