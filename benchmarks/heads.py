"""The GCN head's two forms and the k x k convolution beside each other, forward and backward, on one core.

    python benchmarks/heads.py [--rounds 5] [--dense-up-to 9]

In float32, and in bf16 where the processor multiplies it. The k x k convolution is left out above ``--dense-up-to``:
at k = 15 and 2048 channels six passes did not end within nine minutes on a processor without AVX-512. A goal that was
missed is told beside its bound: what the head would gain at the rate of a square matrix product, and what the
multiply-adds allow.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from _sitting import Goal, arguments, compare, report, sized, take_turns
from torch import nn

from repro.config.machine import cpu_has_bf16, keep_memory
from repro.models.blocks import GlobalConv, OneGemmGlobalConv, conv

CLASSES, SQUARE = 21, sized(1024, 64)
SHAPES = sized(
    [(2048, 32, 3), (2048, 32, 7), (2048, 32, 15), (1024, 16, 15), (512, 32, 15), (256, 64, 7), (256, 64, 15)],
    [(64, 8, 3), (64, 8, 7)],
)
"""(channels, side of the map, k), one image; the goals are for the first channels at k of 7 and more."""
OURS, PLAIN, DENSE, PRODUCT = "one product", "four convolutions", "k x k", "matrix product"
LEAST = {"float32": 1.4, "bfloat16": 2.5}


def both_passes(net: nn.Module, channels: int, side: int, dtype: torch.dtype) -> Callable[[], None]:
    """Return a call of one forward and one backward pass, the input's gradient too."""
    net.to(memory_format=torch.channels_last)
    x = torch.randn(1, channels, side, side).to(dtype, memory_format=torch.channels_last).requires_grad_()

    def call() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            y = net(x)
        y.backward(torch.ones_like(y))

    return call


def product(dtype: torch.dtype) -> Callable[[], object]:
    """Return a square matrix product."""
    one, other = (torch.randn(SQUARE, SQUARE).to(dtype) for _ in range(2))
    return lambda: one @ other


def multiply_adds(channels: int, k: int) -> int:
    """Return those of a GCN head at one position of the map."""
    return 2 * k * CLASSES * (channels + CLASSES)


def at_full_rate(table: dict[str, dict[str, float]], channels: int, side: int, k: int) -> float:
    """Return how often faster than four convolutions the head would be at the matrix product's rate."""
    work = 3 * multiply_adds(channels, k) * side**2 / SQUARE**3
    return table[PLAIN]["ms"] / (work * table[PRODUCT]["ms"])


def goals(tables: dict[tuple[str, int, int, int], dict[str, dict[str, float]]]) -> list[Goal]:
    """Return what was asked of the res-5 head, and of the k x k convolution at every k."""
    found = []
    for (kind, channels, side, k), table in tables.items():
        if channels == SHAPES[0][0] and k >= SHAPES[1][2]:
            what = f"GCN head, {channels} channels, k={k}, {kind}: four convolutions"
            bound = f"at the rate of a matrix product it would be {at_full_rate(table, channels, side, k):.2f} x"
            found.append(Goal(what, table[PLAIN]["ratio"], LEAST[kind], note=bound))
        if DENSE in table:
            what = f"GCN head, {channels} channels, k={k}, {kind}: time over k x k's"
            share = multiply_adds(channels, k) / (k * k * channels * CLASSES)
            bound = f"it has {share:.3f} of the multiply-adds"
            found.append(Goal(what, 1 / table[DENSE]["ratio"], round(2 / k, 3), most=True, note=bound))
    return found


def main() -> None:
    """Measure every shape."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dense-up-to", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    torch.manual_seed(0)
    tables = {}
    for kind in ("float32", "bfloat16") if cpu_has_bf16() else ("float32",):
        for channels, side, k in SHAPES:
            nets: dict[str, nn.Module] = {
                OURS: OneGemmGlobalConv(channels, CLASSES, k),
                PLAIN: GlobalConv(channels, CLASSES, k),
            }
            if k <= options.dense_up_to:
                nets[DENSE] = conv(channels, CLASSES, k, k)
            dtype = getattr(torch, kind)
            ways = {name: both_passes(net, channels, side, dtype) for name, net in nets.items()}
            ways[PRODUCT] = product(dtype)
            tables[kind, channels, side, k] = compare(take_turns(ways, options.rounds), OURS)
    titled = {f"{channels} channels, k={k}, {kind}": table for (kind, channels, _, k), table in tables.items()}
    report("heads", titled, goals(tables), threads=1)


if __name__ == "__main__":
    main()
