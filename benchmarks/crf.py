"""Dense CRF of 500 x 375 images, 21 labels, 10 iterations: ours beside pydensecrf called plainly.

    python benchmarks/crf.py

Generated pictures of three to five coloured patches, with probabilities as a blurred network gives them. Both see the
same images, and the label maps are compared pixel by pixel. Our workers' start is in the figures, for 12 images and for
101, as many as CamVid's validation set has (VOC's: 1,449), the 12 scenes over and over.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from importlib import util
from typing import Any

import numpy as np
from _sitting import Goal, arguments, compare, left_out, report, sized
from numpy.typing import NDArray

from repro.config.experiment import CRF
from repro.evaluation import crf

CLASSES, SHAPE = 21, sized((375, 500), (48, 64))
IMAGES, SET, ROUNDS = sized((12, 101, 3), (2, 3, 1))
VALUES = CRF()
Floats = NDArray[np.float32]


def scene(seed: int) -> tuple[Floats, NDArray[np.uint8]]:
    """Return probabilities (21, 375, 500) and a picture: a confident network, blurred at the edges, noisy elsewhere."""
    from scipy import (
        ndimage,
        special,  # workers import this file again, and have no use for it
    )

    rng = np.random.default_rng(seed)
    count = int(rng.integers(3, 6))
    patches = ndimage.zoom(rng.normal(size=(count, 6, 8)), (1, SHAPE[0] / 6, SHAPE[1] / 8), order=3)[
        :, : SHAPE[0], : SHAPE[1]
    ].argmax(0)
    colors = rng.integers(30, 220, (count, 3))[patches] + rng.normal(0, 10, (*SHAPE, 3))
    logits = ndimage.zoom(rng.normal(size=(CLASSES, 15, 20)), (1, SHAPE[0] / 15, SHAPE[1] / 20), order=1) * 1.5
    for patch, name in enumerate(rng.choice(CLASSES, count, replace=False)):
        logits[name] += 10 * ndimage.gaussian_filter((patches == patch).astype(np.float32), 8)
    return special.softmax(logits, axis=0).astype(np.float32), colors.clip(0, 255).astype(np.uint8)


def plainly(probabilities: Floats, image: NDArray[np.uint8]) -> NDArray[Any]:
    """Call pydensecrf as its own example does."""
    from pydensecrf import densecrf

    field = densecrf.DenseCRF2D(SHAPE[1], SHAPE[0], CLASSES)
    energy = -np.log(np.maximum(probabilities, 1e-10)).reshape(CLASSES, -1)
    field.setUnaryEnergy(np.ascontiguousarray(energy, np.float32))
    field.addPairwiseGaussian(sxy=VALUES.position_sd, compat=VALUES.position_w)
    field.addPairwiseBilateral(
        sxy=VALUES.bilateral_sd, srgb=VALUES.bilateral_color_sd, rgbim=image, compat=VALUES.bilateral_w
    )
    return np.asarray(np.array(field.inference(VALUES.iterations)).argmax(axis=0).reshape(SHAPE))


def main() -> None:
    """Compare the plain call, supported labels in this process, and in one process a core for both sizes."""
    arguments(__doc__).parse_args()
    if not util.find_spec("pydensecrf"):
        left_out("dense CRF", "pydensecrf is not installed")
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    scenes = [scene(seed) for seed in range(IMAGES)]
    ways: dict[str, Callable[[], list[NDArray[Any]]]] = {
        f"ours, {cores} processes, {SET} images": lambda: list(
            crf.refine_all(itertools.islice(itertools.cycle(scenes), SET), VALUES, cores)
        ),
        f"ours, {cores} processes": lambda: list(crf.refine_all(scenes, VALUES, cores)),
        "ours, 1 process": lambda: list(crf.refine_all(scenes, VALUES, 1)),
        "pydensecrf, plainly": lambda: [plainly(*pair) for pair in scenes],
    }
    turns: list[dict[str, float]] = []
    maps: dict[str, list[NDArray[Any]]] = {}
    for _ in range(ROUNDS):
        turn = {}
        for name, way in ways.items():
            start = time.perf_counter()
            maps[name] = way()
            turn[name] = (time.perf_counter() - start) / len(maps[name])
        turns.append(turn)
    many, ours, _, plain = maps.values()
    large, few, *_ = ways
    title = "an image, 500 x 375, 21 labels, 10 iterations"
    tables = {f"{title}, beside {SET} images": compare(turns, large), f"{title}, beside {IMAGES}": compare(turns, few)}
    ratios = {
        size: table["pydensecrf, plainly"]["ratio"] for size, table in zip((SET, IMAGES), tables.values(), strict=True)
    }
    expected = list(itertools.islice(itertools.cycle(plain), SET))
    differ = float(np.mean([(a != b).mean() for a, b in zip(many + ours, expected + plain, strict=True)]))
    report(
        "crf",
        tables,
        [
            *(
                Goal(f"dense CRF, {size} images: pydensecrf called plainly, {cores} cores", ratio, 3.0)
                for size, ratio in ratios.items()
            ),
            Goal("dense CRF: share of pixels that differ", differ, 1e-4, most=True, unit=""),
        ],
        labels_kept=[len(crf.supported(probabilities)) for probabilities, _ in scenes],
    )


if __name__ == "__main__":
    main()
