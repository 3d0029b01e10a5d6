"""Counting multiply-adds: torch's formulas on the meta device beside fvcore on real tensors, the same numbers.

    python benchmarks/macs.py [--rounds 2]

Tables 2, 4 and 11 as `repro cost` counts them, and a ResNet-152 GCN k=15 + BR at 512 x 512. fvcore fails on the meta
device, so it computes what it counts.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import util

from _sitting import Goal, arguments, compare, left_out, report, sized, take_turns

from repro.cli.cost import count_cells
from repro.config.networks import GCN, Model
from repro.models import flops
from repro.paper.tables import select_tables

NETWORK = Model(GCN(15), refine=True, backbone=sized("resnet152", "small"))
CLASSES, (SIDE, TABLES) = 21, sized((512, "2,4,11"), (64, "2"))


def counts(counter: Callable[..., int]) -> tuple[int, ...]:
    """Return every count of the tables, then the network's; nothing that was counted before is reused."""
    flops.measure.cache_clear()
    flops.layout.cache_clear()
    cells = count_cells(select_tables([TABLES]), counter)
    return *(cell.ours for cell in cells), flops.network_macs(NETWORK, CLASSES, SIDE, SIDE, counter)


def main() -> None:
    """Measure, and check that both count the same."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    if not util.find_spec("fvcore"):
        left_out("multiply-adds", "fvcore is not installed")
        return
    assert counts(flops.torch_macs) == counts(flops.fvcore_macs)
    ways = {"torch, meta device": lambda: counts(flops.torch_macs), "fvcore": lambda: counts(flops.fvcore_macs)}
    table = compare(take_turns(ways, rounds), "torch, meta device")
    goals = [Goal("counts of Tables 2, 4, 11 and a ResNet-152 GCN: fvcore", table["fvcore"]["ratio"], 10.0)]
    report("macs", {"multiply-adds": table}, goals)


if __name__ == "__main__":
    main()
