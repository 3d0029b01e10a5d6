"""Made-up records for tests: any score, any seed, any spec, written as a run would leave them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.config.experiment import Recipe, Run, Source, Training
from repro.config.hashing import canonical
from repro.config.networks import GCN, Classifier, Conv, Model
from repro.config.profiles import Profile, Role, get
from repro.paper.schema import Claim, Cost, Ref, Row, Score, Table, exceeds
from repro.results import sealed

IMAGES, CLASSES = 40, 5
Counts = NDArray[np.int64]
ENVIRONMENT = {
    "device": "test device",
    "threads": 1,
    "world_size": 1,
    "precision": "float32",
    "python": "3.11.0",
    "torch": "2.11.0",
    "git_commit": "0123456789abcdef",
    "data": {"tiny": "feedbeef"},
}
PROFILE = Profile(
    name="tiny",
    about="made up for tests",
    backbones={"resnet152": "small"},
    pretrained=frozenset(),
    roles={"voc_aug": Role((Source("tiny", "train"),), Source("tiny", "val"), 160)},
    recipes={"fast": Recipe("fast", "sgd", 0.1, 16, 0.0)},
    tests={},
)
PAPER = replace(PROFILE, name="paper", comparable_with_paper=True)
SCORES = {name: {k: Ref(f"Score ({name})", str(k)) for k in (3, 7)} for name in ("GCN", "Conv")}
TABLE = Table(
    number=2,
    title="GCN & convolution",
    corner="k",
    columns=("3", "7"),
    rows=(
        Row("Score (GCN)", tuple(Score(Training(Model(GCN(k)))) for k in (3, 7))),
        Row("Score (Conv)", tuple(Score(Training(Model(Conv(k)))) for k in (3, 7))),
        Row("# of Params (GCN)", tuple(Cost(GCN(k)) for k in (3, 7))),
    ),
    claims=(
        Claim("gcn-rises", "larger is better", "4.1.1", (exceeds(SCORES["GCN"][7], SCORES["GCN"][3]),)),
        Claim(
            "gcn-over-conv",
            "GCN is better",
            "4.1.1 (1)",
            tuple(exceeds(SCORES["GCN"][k], SCORES["Conv"][k]) for k in (3, 7)),
        ),
        Claim(
            "params-rise",
            "and larger",
            "4.1.1",
            (exceeds(Ref("# of Params (GCN)", "7"), Ref("# of Params (GCN)", "3")),),
        ),
    ),
)


def noise(seed: int, *shape: int) -> NDArray[np.float64]:
    """Return numbers in [0, 1) that are the same on every machine and for every numpy."""
    index = np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(1_000_003 * (seed + 1))
    index = (index * np.uint64(2_654_435_761)) % np.uint64(2**32)
    index = ((index ^ (index >> np.uint64(15))) * np.uint64(2_246_822_519)) % np.uint64(2**32)
    return ((index ^ (index >> np.uint64(13))) / 2.0**32).reshape(shape)


def classes(share: float, seed: int = 0, images: int = IMAGES, num_classes: int = CLASSES) -> Counts:
    """Return per-image counts (n, c, 3) in which about ``share`` of each class is right."""
    label = 100 + np.arange(images * num_classes).reshape(images, num_classes) * 37 % 300
    both = np.floor(label * np.clip(share + 0.1 * (noise(seed, images, num_classes) - 0.5), 0, 1)).astype(np.int64)
    return np.stack([both, label, label], axis=2)


def distance(near: float, far: float, seed: int = 0, images: int = IMAGES) -> Counts:
    """Return per-image counts (n, 42, 2) with these accuracies within 7 pixels of the boundary and beyond."""
    seen = 50 + np.arange(images * 42).reshape(images, 42) * 31 % 200
    seen[:, 0] = 0
    shares = np.where(np.arange(42) <= 7, near, far) + 0.1 * (noise(seed, images, 42) - 0.5)
    return np.stack([np.floor(seen * np.clip(shares, 0, 1)).astype(np.int64), seen], axis=2)


def size(share: float, seed: int = 0, images: int = IMAGES) -> Counts:
    """Return per-image counts (n, 21, 2) of objects of 4 to 4095 pixels, the larger the more often right."""
    seen = 20 + np.arange(images * 21).reshape(images, 21) * 29 % 100
    seen[:, :2] = seen[:, 12:] = 0
    shares = share + 0.02 * np.arange(21) + 0.1 * (noise(seed + 3, images, 21) - 0.5)
    return np.stack([np.floor(seen * np.clip(shares, 0, 1)).astype(np.int64), seen], axis=2)


def top5(share: float, seed: int = 0, images: int = IMAGES) -> Counts:
    """Return per-image hits (n, 2) of a classifier whose class is among the best five with this chance."""
    five = noise(seed, images) < share
    return np.stack([five & (noise(seed + 7, images) < share), five], axis=1).astype(np.int64)


def counts_of(run: Run, share: float, seed: int, num_classes: int = CLASSES) -> dict[str, Counts]:
    """Return the counts that a run of this kind leaves."""
    if isinstance(run.model, Classifier):
        return {"top5": top5(share, seed)}
    return {
        "classes": classes(share, seed, num_classes=num_classes),
        "distance": distance(share, min(share + 0.1, 1.0), seed),
        "size": size(share, seed),
    }


def write(root: Path, run: Run, seed: int, share: float = 0.5, **changes: Any) -> Path:
    """Write the record of one run; ``changes`` (or ``head``) replace its fields, ``counts`` its counts."""
    given = "counts" in changes
    counts = changes.pop("counts", counts_of(run, share, seed, len(changes.get("classes", range(CLASSES)))))
    name = changes.pop("name", f"{run.slug}-{run.key}-s{seed}")
    head = changes.pop("head", {})
    meta = {
        "schema": 1,
        "key": run.key,
        "seed": seed,
        "status": "ok",
        "profile": run.profile,
        "recipe": run.recipe.name,
        "spec": canonical(run),
        "slug": run.slug,
        "steps": run.steps,
        "seconds": 10.0,
        "images_per_second": 50.0,
        "peak_memory_bytes": 1 << 30,
        "final_loss": 0.5,
        **ENVIRONMENT,
        **changes,
        **head,
    }
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(meta), encoding="utf-8")
    lines = [{"step": step, "loss": 2.0 / (1 + step), "lr": 0.1, "seconds": step / 10} for step in range(0, 100, 10)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    if counts is not None and (given or meta["status"] == "ok"):
        np.savez_compressed(folder / "counts.npz", **counts)
    return folder


def resealed(folder: Path, **changes: Any) -> None:
    """Give a record that a test has changed the checksums of its files and of itself, as if a run had written it."""
    path = folder / "record.json"
    tree = json.loads(path.read_text(encoding="utf-8")) | changes
    files = (file for file in folder.iterdir() if file.name in tree["sums"])
    tree["sums"] = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    path.write_text(sealed.seal(tree), encoding="utf-8")


def runs(table: Table, profile: Profile) -> dict[str, tuple[Run, int]]:
    """Return each run that a table needs by key, with a number that grows in the order of the cells."""
    found: dict[str, tuple[Run, int]] = {}
    for row in table.rows:
        for cell in row.cells:
            if isinstance(cell, Score):
                run = profile.resolve(cell.training, cell.evaluation)
                if run is not None:
                    found.setdefault(run.key, (run, len(found)))
    return found


def fill(
    root: Path,
    tables: Mapping[int, Table],
    share: Callable[[Run, int, int], float],
    *,
    seeds: int = 3,
    profile: Profile | None = None,
) -> None:
    """Write a record for every run and seed of some tables, with ``share(run, order, seed)`` right."""
    seen: set[str] = set()
    for table in tables.values():
        for key, (run, order) in runs(table, profile or get("shapes")).items():
            if key not in seen:
                seen.add(key)
                for seed in range(seeds):
                    write(root, run, seed, share(run, order, seed))
