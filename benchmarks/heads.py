"""Times the GCN head's two forms and the k x k convolution beside each other, forward and backward, on one core.

    python benchmarks/heads.py [--dtype bfloat16] [--rounds 7] [--dense-up-to 9] [--json FILE]

The contestants take turns (A, B, C, A, B, C, ...); ratios are medians over the rounds, so that a busy machine slows all
of them alike. The k x k convolution is left out above ``--dense-up-to``: at k = 15 and 2048 channels six
passes did not end within nine minutes on a processor without AVX-512.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from repro.models.blocks import GlobalConv, conv
from repro.models.fast import OneGemmGlobalConv

CLASSES = 21
SHAPES = [(2048, 32, 3), (2048, 32, 7), (2048, 32, 15), (256, 64, 7), (256, 64, 15), (512, 32, 15), (1024, 16, 15)]
"""(channels, side of the map, k), one image."""


def seconds(net: nn.Module, x: Tensor, dtype: torch.dtype) -> float:
    """Return the time of one forward and one backward pass."""
    start = time.perf_counter()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        y = net(x)
    y.backward(torch.ones_like(y))
    return time.perf_counter() - start


def compare(channels: int, side: int, k: int, options: argparse.Namespace) -> dict[str, float]:
    """Return the times in milliseconds and their ratios for one shape."""
    torch.manual_seed(0)
    nets: dict[str, nn.Module] = {
        "plain": GlobalConv(channels, CLASSES, k),
        "one_gemm": OneGemmGlobalConv(channels, CLASSES, k),
    }
    if k <= options.dense_up_to:
        nets["dense"] = conv(channels, CLASSES, k, k)
    dtype = getattr(torch, options.dtype)
    x = torch.randn(1, channels, side, side).to(dtype, memory_format=torch.channels_last).requires_grad_()
    for net in nets.values():
        net.to(memory_format=torch.channels_last)
        seconds(net, x, dtype)
    turns = [{name: seconds(net, x, dtype) for name, net in nets.items()} for _ in range(options.rounds)]
    result = {f"{name}_ms": 1000 * statistics.median(turn[name] for turn in turns) for name in nets}
    result["speedup"] = statistics.median(turn["plain"] / turn["one_gemm"] for turn in turns)
    if "dense" in nets:
        result["of_dense"] = statistics.median(turn["one_gemm"] / turn["dense"] for turn in turns)
    return {"channels": channels, "side": side, "k": k, **result, "two_over_k": 2 / k}


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dense-up-to", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    print(f"milliseconds, {options.dtype}, one thread")
    print(f"{'shape':>18}  {'plain':>9}  {'one gemm':>9}  {'k x k':>9}  speed-up  of k x k    2/k")
    for channels, side, k in SHAPES:
        row = compare(channels, side, k, options)
        rows.append(row)
        name = f"{channels}, {side}^2, k={k}"
        times = "  ".join(f"{row.get(form, math.nan):9.1f}" for form in ("plain_ms", "one_gemm_ms", "dense_ms"))
        print(
            f"{name:>18}  {times}  {row['speedup']:8.2f}  {row.get('of_dense', math.nan):8.3f}  {2 / k:.3f}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps({"dtype": options.dtype, "threads": 1, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
