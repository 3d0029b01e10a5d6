"""An epoch from the store, after the first, beside PIL in torch's DataLoader: the same pictures, frames and mirrors.

    python benchmarks/epoch.py [--images 64] [--rounds 3]

JPEG pictures of 500 x 375 with palette PNG labels, as VOC's, generated into a folder that is thrown away; padded to
512 x 512 and mirrored at random, in batches of 16 of uint8: normalisation is the device's work, by the batch, and the
same for all; ``normalised`` has it. Ours works in the training's own process; the DataLoader works there too, and with
one worker a core.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from _sitting import Goal, compare, report, take_turns
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from repro.data.dataset import Dataset
from repro.data.store import open_store
from repro.data.transforms import Batches
from repro.experiment import Source
from repro.machine import keep_memory

HEIGHT, WIDTH, FRAME, BATCH = 375, 500, 512, 16
Pair = tuple[torch.Tensor, torch.Tensor]


def generate(folder: Path, count: int) -> list[tuple[Path, Path]]:
    """Write pictures with some detail, and labels of a few patches; return their files."""
    rng = np.random.default_rng(0)
    files = []
    for i in range(count):
        coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        picture += rng.integers(-12, 13, picture.shape, dtype=np.int16)
        patches = rng.integers(0, 21, (5, 6), dtype=np.uint8)
        labels = cv2.resize(patches, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
        pair = folder / f"{i}.jpg", folder / f"{i}.png"
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(pair[0], quality=90)
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
    """Decode, mirror, pad: one picture at a time."""

    def __init__(self, files: list[tuple[Path, Path]]) -> None:
        """Take the files."""
        self.files = files

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.files)

    def __getitem__(self, i: int) -> Pair:
        """Return a picture (3, 512, 512) and its labels (512, 512)."""
        picture, labels = (torch.from_numpy(x) for x in read(self.files[i]))
        image = picture.permute(2, 0, 1)
        if torch.rand(()) < 0.5:  # noqa: PLR2004 - half of them
            image, labels = image.flip(2), labels.flip(1)
        below = (0, FRAME - WIDTH, 0, FRAME - HEIGHT)
        return torch.nn.functional.pad(image, below), torch.nn.functional.pad(labels, below, value=255)


def walk(batches: Any) -> Callable[[], None]:  # noqa: ANN401 - any iterable of batches
    """Return a call that goes through all batches."""

    def call() -> None:
        for images, labels in batches:
            assert len(images) == len(labels) == BATCH

    return call


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=64)
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
        loaders = {
            f"PIL, DataLoader, {n} workers": DataLoader(
                Usual(files), BATCH, shuffle=True, drop_last=True, num_workers=n
            )
            for n in (0, cores)
        }
        ways = {
            "the store": walk(_Epoch(batches.batch, steps)),
            "the store, normalised": walk(_Epoch(batches.ready, steps)),
        } | {title: walk(loader) for title, loader in loaders.items()}
        table = compare(take_turns(ways, asked.rounds), "the store")
    own = next(iter(loaders))
    report(
        "epoch",
        {f"an epoch of {len(files)} pictures": table},
        [Goal(f"epoch from the store: {own}", table[own]["ratio"], 25.0)],
        workers=cores,
    )


class _Epoch:
    """One epoch of the store's batches."""

    def __init__(self, batch: Callable[[int], Pair], steps: int) -> None:
        self.batch, self.steps = batch, steps

    def __iter__(self) -> Any:  # noqa: ANN401 - an iterator of batches
        return (self.batch(step) for step in range(self.steps))


if __name__ == "__main__":
    main()
