"""An epoch from the store, after the first, beside PIL in torch's DataLoader: the same pictures, frames and mirrors.

    python benchmarks/epoch.py [--images 64] [--rounds 3]

JPEG pictures of 500 x 375 with palette PNG labels, generated into a folder that is thrown away: of VOC's quality (95)
and bytes a pixel (0.5). Padded to 512 x 512 and mirrored at random, in batches of 16. Bytes: normalisation is left to
the device. Normalised: in float32, as a training on the processor takes them. Ours works in the training's own process;
the DataLoader works there too, and with one worker a core, which it keeps. ``copy`` is what the memory allows: each
picture and its labels copied into a frame that is there, nothing else.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from _sitting import SMOKE, Goal, arguments, compare, report, sized, take_turns
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from repro.config.dataset_info import IMAGENET_MEAN, IMAGENET_STD
from repro.config.experiment import Source
from repro.config.machine import keep_memory
from repro.data.cache import Store, open_store
from repro.data.dataset import Dataset
from repro.data.loader import Batches

HEIGHT, WIDTH, FRAME, BATCH = sized((375, 500, 512, 16), (47, 63, 64, 4))
ALONE = "PIL, DataLoader, 0 workers"
Pair = tuple[torch.Tensor, torch.Tensor]


def generate(folder: Path, count: int) -> list[tuple[Path, Path]]:
    """Write pictures with some detail, and labels of a few patches; return their files."""
    rng = np.random.default_rng(0)
    files = []
    for i in range(count):
        coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        picture += rng.integers(-10, 11, picture.shape, dtype=np.int16)
        patches = rng.integers(0, 21, (5, 6), dtype=np.uint8)
        labels = cv2.resize(patches, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
        pair = folder / f"{i}.jpg", folder / f"{i}.png"
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(pair[0], quality=95)
        mask = Image.fromarray(labels, mode="P")
        mask.putpalette(list(range(256)) * 3)
        mask.save(pair[1])
        files.append(pair)
    return files


def read(pair: tuple[Path, Path]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Decode a picture (h, w, 3) and its labels (h, w) by PIL."""
    with Image.open(pair[0]) as picture, Image.open(pair[1]) as mask:
        return np.array(picture.convert("RGB")), np.array(mask)


class Usual(TorchDataset[Pair]):
    """Decode, normalise where asked for, mirror, pad: one picture at a time."""

    def __init__(self, files: list[tuple[Path, Path]], *, normalised: bool) -> None:
        """Take the files."""
        self.files, self.normalised = files, normalised
        self.mean, self.std = (torch.tensor(x)[:, None, None] for x in (IMAGENET_MEAN, IMAGENET_STD))

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.files)

    def __getitem__(self, i: int) -> Pair:
        """Return a picture (3, 512, 512) and its labels (512, 512)."""
        picture, labels = (torch.from_numpy(x) for x in read(self.files[i]))
        image = picture.permute(2, 0, 1)
        if self.normalised:
            image = image.float().div_(255).sub_(self.mean).div_(self.std)
        if torch.rand(()) < 0.5:  # noqa: PLR2004 - half of them
            image, labels = image.flip(2), labels.flip(1)
        below = (0, FRAME - WIDTH, 0, FRAME - HEIGHT)
        return torch.nn.functional.pad(image, below), torch.nn.functional.pad(labels, below, value=255)


def usual(files: list[tuple[Path, Path]], cores: int, *, normalised: bool) -> dict[str, Callable[[], None]]:
    """Return the DataLoaders' epochs: in this process, and in one a core."""
    loaders = {
        title: DataLoader(
            Usual(files, normalised=normalised), BATCH, shuffle=True, drop_last=True, num_workers=workers,
            persistent_workers=workers > 0,
        )
        for title, workers in ((ALONE, 0), (f"PIL, DataLoader, {cores} workers", cores))
        if not (SMOKE and workers)  # whose start alone takes seconds
    }  # fmt: skip
    return {title: walk(loader) for title, loader in loaders.items()}


def copied(store: Store) -> Callable[[], None]:
    """Return a call that copies every picture and its labels once, to memory that stays."""
    frames, masks = np.empty((BATCH, FRAME, FRAME, 3), np.uint8), np.empty((BATCH, FRAME, FRAME), np.uint8)

    def call() -> None:
        for i in range(len(store)):
            frames[i % BATCH, :HEIGHT, :WIDTH] = store.image(i)
            masks[i % BATCH, :HEIGHT, :WIDTH] = store.labels(i)

    return call


def walk(batches: Any) -> Callable[[], None]:  # noqa: ANN401 - any iterable of batches
    """Return a call that goes through all batches."""

    def call() -> None:
        for images, labels in batches:
            assert len(images) == len(labels) == BATCH
            del images, labels  # a training's step, too, has dropped them when it asks for the next

    return call


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__)
    parser.add_argument("--images", type=int, default=sized(64, 8))
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(1)
    keep_memory()
    with tempfile.TemporaryDirectory() as name:
        files = generate(Path(name), asked.images)
        dataset = Dataset(
            name="generated", split="train", classes=tuple(map(str, range(21))), palette=((0, 0, 0),) * 21,
            ids=tuple(str(i) for i in range(len(files))), reader=lambda i: read(files[i]),
        )  # fmt: skip
        store = open_store(dataset, Path(name) / "cache")
        batches = Batches((store,), Source("generated", "train", FRAME, FRAME), BATCH, 0)
        steps = len(files) // BATCH
        ways = {
            "bytes": {"the store": walk(_Epoch(batches.batch, steps)), "copy": copied(store)}
            | usual(files, cores, normalised=False),
            "normalised": {"the store": walk(_Epoch(batches.ready, steps))} | usual(files, cores, normalised=True),
        }
        tables = {kind: compare(take_turns(these, asked.rounds), "the store") for kind, these in ways.items()}
    bound = tables["bytes"]["copy"]["ratio"]
    goals = [
        Goal(
            f"epoch from the store, {kind}: {ALONE}",
            table[ALONE]["ratio"],
            25.0,
            note=f"copying pictures and labels alone takes {bound:.2f} of the time for bytes",
        )
        for kind, table in tables.items()
    ]
    report("epoch", {f"{kind}, an epoch of {len(files)}": t for kind, t in tables.items()}, goals, workers=cores)


class _Epoch:
    """One epoch of the store's batches."""

    def __init__(self, batch: Callable[[int], Pair], steps: int) -> None:
        self.batch, self.steps = batch, steps

    def __iter__(self) -> Any:  # noqa: ANN401 - an iterator of batches
        return (self.batch(step) for step in range(self.steps))


if __name__ == "__main__":
    main()
