"""Counting multiply-adds: torch's formulas on the meta device beside fvcore on real tensors, the same numbers.

    python benchmarks/macs.py [--rounds 2]

Tables 2, 4 and 11 as `repro cost` counts them, and a ResNet-152 GCN k=15 + BR at 512 x 512. fvcore fails on the meta
device, so it computes what it counts.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import util

from _sitting import Goal, arguments, compare, left_out, report, sized, take_turns

from repro import cost
from repro.commands.costs import count_cells
from repro.select import select_tables
from repro.spec import GCN, Model

NETWORK = Model(GCN(15), refine=True, backbone=sized("resnet152", "small"))
CLASSES, (SIDE, TABLES) = 21, sized((512, "2,4,11"), (64, "2"))


def counts(counter: Callable[..., int]) -> tuple[int, ...]:
    """Return every count of the tables, then the network's; nothing that was counted before is reused."""
    cost.measure.cache_clear()
    cost.layout.cache_clear()
    cells = count_cells(select_tables([TABLES]), counter)
    return *(cell.ours for cell in cells), cost.network_macs(NETWORK, CLASSES, SIDE, SIDE, counter)


def main() -> None:
    """Measure, and check that both count the same."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    if not util.find_spec("fvcore"):
        left_out("multiply-adds", "fvcore is not installed")
        return
    assert counts(cost.torch_macs) == counts(cost.fvcore_macs)
    ways = {"torch, meta device": lambda: counts(cost.torch_macs), "fvcore": lambda: counts(cost.fvcore_macs)}
    table = compare(take_turns(ways, rounds), "torch, meta device")
    goals = [Goal("counts of Tables 2, 4, 11 and a ResNet-152 GCN: fvcore", table["fvcore"]["ratio"], 10.0)]
    report("macs", {"multiply-adds": table}, goals)


if __name__ == "__main__":
    main()
