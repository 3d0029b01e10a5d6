"""Valid receptive field: ours beside the naive loop (one occluded image at a time) and captum's Occlusion, float32 all.

    python benchmarks/vrf.py            # the laptop's network at 128 x 128, under a minute
    python benchmarks/vrf.py --paper    # ResNet-50, GCN k = 15, 512 x 512, and whole maps: many minutes

Time is taken an occluder, on a sample drawn at random; ours and the naive loop see the same ones, captum begins its
own grid (there an occluder's time does not depend on where it lies), so the ratios stand for the whole grid.
One thread. Weights are random unless ``REPRO_WEIGHTS`` names a safetensors file. captum is no dependency of the suite:
``pip install captum`` adds it; without it, its column is left out and a sentence says so.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _sitting import Goal, arguments, compare, left_out, report, sized
from torch import Tensor, nn

from repro.config.networks import GCN, Model
from repro.evaluation.receptive_field import occlusion_map
from repro.evaluation.receptive_field.incremental import Partial
from repro.evaluation.receptive_field.occlusion import Grid
from repro.evaluation.receptive_field.trace import record
from repro.models import Network, build, load_backbone

NAIVE = 2
"""Occluders a round that the naive loop computes."""
Timed = Callable[[], float]


class _Enough(Exception):  # noqa: N818 - no fault: it ends captum's loop
    """Raised inside captum's loop once it has computed as many occluders as were asked for."""


def network(backbone: str) -> Network:
    """Return a network whose statistics are those of an image, so that its scores have a trained network's size."""
    torch.manual_seed(0)
    net = build(Model(GCN(15), refine=True, backbone=backbone), 21, head_std=0.0)
    assert isinstance(net, Network)
    if backbone == "resnet50" and os.environ.get("REPRO_WEIGHTS"):
        load_backbone(net.backbone, os.environ["REPRO_WEIGHTS"])
        return net.eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    net.train()
    with torch.no_grad():
        net(smooth_noise(1, 256))
    return net.eval()


def smooth_noise(seed: int, side: int) -> Tensor:
    """Return an image (1, 3, side, side) with structure at several sizes, normalised."""
    rng = torch.Generator().manual_seed(seed)
    layers = (torch.randn(1, 3, side // cell, side // cell, generator=rng) for cell in (32, 8, 1))
    image = sum(nn.functional.interpolate(layer, (side, side), mode="bilinear") for layer in layers)
    return torch.as_tensor(image) / 3**0.5


def captum(net: Network, image: Tensor, at: tuple[int, int], chosen: int) -> Timed | None:
    """Return what takes captum's seconds an occluder, or None where captum is not installed."""
    try:
        module = importlib.import_module("captum.attr")
    except ImportError:
        left_out("captum", "not installed; add it with: pip install captum")
        return None
    return lambda: _timed(module, lambda x: net(x)[:, chosen, at[1], at[0]], image)


def _timed(module: Any, score: Callable[[Tensor], Tensor], image: Tensor) -> float:  # noqa: ANN401 - captum.attr
    """Return captum's seconds an occluder: from the end of the clean image to the end of the last of ``NAIVE``."""
    times: list[float] = []

    def forward(x: Tensor) -> Tensor:
        if len(times) > NAIVE:
            times.append(time.perf_counter())
            raise _Enough
        out = score(x)
        times.append(time.perf_counter())
        return out

    with contextlib.suppress(_Enough):
        module.Occlusion(forward).attribute(
            image, sliding_window_shapes=(3, 11, 11), strides=(3, 3, 3), baselines=0.0, perturbations_per_eval=1
        )
    return (times[-1] - times[0]) / NAIVE


def same_as_captum(net: Network, image: Tensor, at: tuple[int, int]) -> float | None:
    """Return the largest difference of captum's map from ours over the largest change, occluders side by side."""
    try:
        module = importlib.import_module("captum.attr")
    except ImportError:
        return None
    field = occlusion_map(net, image[0], at, stride=11)
    occlusion = module.Occlusion(lambda x: net(x)[:, field.class_index, at[1], at[0]])
    with torch.no_grad():
        theirs = occlusion.attribute(image, sliding_window_shapes=(3, 11, 11), strides=(3, 11, 11), baselines=0.0)
    rows, columns = field.map.shape
    cells = theirs[0, 0, : 11 * rows : 11, : 11 * columns : 11].numpy()
    return float(np.abs(cells - field.map).max() / np.abs(field.map).max())


def sampled(
    net: Network, image: Tensor, at: tuple[int, int], rounds: int
) -> tuple[list[dict[str, float]], float, float]:
    """Return the turns (seconds an occluder), the largest difference over the largest change and over the score.

    The first round, uncounted, has the occluders over the position itself, where the change is large.
    """
    start = time.perf_counter()
    partial = Partial(record(net, image), image, at)
    ready = time.perf_counter() - start
    grid = Grid(image[0], 11, 3, 0.0)
    rows, columns = (list(grid.blocks(axis)) for axis in (0, 1))
    drawn = random.Random(0)  # noqa: S311 - a sample, not a secret
    clean = partial.clean[-1][0, :, at[1], at[0]]
    chosen = int(clean.argmax())
    turns, pairs = [], []
    peer = captum(net, image, at, chosen)
    middle = rows[at[1] // 9], columns[at[0] // 9]
    for n in range(rounds + 1):
        (top, bottom, y), (left, right, x) = (drawn.choice(rows), drawn.choice(columns)) if n else middle
        start = time.perf_counter()
        spans = partial.reached(0, y), partial.reached(1, x)
        patches = grid.patches(y, x, (bottom - top, right - left))
        scores = partial.scores(patches, y, x, spans)
        ours = (time.perf_counter() - start) / len(patches)
        start = time.perf_counter()
        for one in drawn.sample(range(len(patches)), NAIVE):
            occluded = image.clone()
            occluded[0, :, y[0] : y[1], x[0] : x[1]] = patches[one]
            score = net(occluded)[0, chosen, at[1], at[0]]
            pairs.append((score, clean[chosen] if scores is None else scores[one, chosen]))
        naive = (time.perf_counter() - start) / NAIVE
        turns.append({"ours": ours, "naive": naive, **({"captum": peer()} if peer else {})})
    differences = [abs(float(a - b)) for a, b in pairs]
    changes = [abs(float(a - clean[chosen])) for a, _ in pairs]
    print(f"clean image and its features: {ready:.2f} s, once an image")
    return turns[1:], max(differences) / max(changes), max(differences) / abs(float(clean[chosen]))


def paper() -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """Compare at the paper's size."""
    with torch.no_grad():
        turns, of_change, of_score = sampled(network("resnet50"), smooth_noise(0, 512), (256, 256), rounds=8)
    facts = {
        "weights": "given by REPRO_WEIGHTS" if os.environ.get("REPRO_WEIGHTS") else "random",
        "largest_difference_over_largest_change_drawn": of_change,
        "largest_difference_over_score": of_score,
        "whole_grid_of_28224_hours": {k: float(np.median([t[k] for t in turns])) * 7.84 for k in ("ours", "naive")},
    }
    return compare(turns, "ours"), facts


def laptop() -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """Compare on the laptop's network, an occluder."""
    net, image = network("small"), smooth_noise(0, 128)
    with torch.no_grad():
        turns, of_change, of_score = sampled(net, image, (64, 64), rounds=sized(24, 1))
    facts = {
        "small_largest_difference_over_largest_change_drawn": of_change,
        "small_largest_difference_over_score": of_score,
        "small_captum_difference_over_largest_change": same_as_captum(net, image, (64, 64)),
    }
    return compare(turns, "ours"), facts


def whole_map() -> dict[str, dict[str, float]]:
    """Compare on the laptop's network: seconds of a whole map of 1,600 occluders."""
    net, image = network("small"), smooth_noise(0, 128)
    turns = []
    for _ in range(4):
        start = time.perf_counter()
        field = occlusion_map(net, image[0], (64, 64))
        ours = time.perf_counter() - start
        start = time.perf_counter()
        with torch.no_grad():
            for _ in range(20):
                net(image)
        turns.append({"ours": ours, "naive": (time.perf_counter() - start) / 20 * field.map.size})
    return compare(turns[1:], "ours")


def main() -> None:
    """Compare the laptop's network, and where asked for the paper's."""
    parser = arguments(__doc__)
    parser.add_argument("--paper", action="store_true", help="ResNet-50 GCN k = 15 at 512 x 512, and whole maps")
    options, _ = parser.parse_known_args()
    torch.set_num_threads(1)
    small, facts = laptop()
    tables = {"an occluder, small GCN k=15 + BR, 128 x 128": small}
    goals: list[Goal] = []
    if options.paper:
        at_size, more = paper()
        facts |= more
        tables["an occluder, ResNet-50 GCN k=15 + BR, 512 x 512"] = at_size
        tables["a map of 1,600 occluders, small GCN k=15 + BR, 128 x 128"] = whole_map()
        least = {"naive": 8.0, "captum": 5.0}
        here = {name: at_size[name]["ratio"] for name in least if name in at_size}
        goals = [Goal(f"receptive field at 512 x 512: {name}", ratio, least[name]) for name, ratio in here.items()]
        whole = tables["a map of 1,600 occluders, small GCN k=15 + BR, 128 x 128"]["ours"]["ms"]
        goals.append(Goal("receptive field: a map of shapes", whole, 10_000.0, most=True, unit="ms"))
    report("vrf" if options.paper else "vrf_small", tables, goals, **facts)


if __name__ == "__main__":
    main()
