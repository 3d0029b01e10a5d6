"""One sitting of a benchmark: contestants take turns in one process, ratios are taken within a turn.

Every benchmark takes ``--smoke``: tiny sizes, one turn, nothing written; it says that the benchmark runs, not how fast.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

RESULTS = Path(__file__).parent / "results"
Contestants = Mapping[str, Callable[[], object]]
SMOKE = "--smoke" in sys.argv
T = TypeVar("T")


def sized(full: T, tiny: T) -> T:
    """Return the size of a measurement, or with ``--smoke`` the one that only shows that it runs."""
    return tiny if SMOKE else full


def arguments(text: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks share; ``text`` is the benchmark's docstring."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, one turn, nothing written")
    return parser


def left_out(name: str, why: str) -> None:
    """Say that something is not measured here."""
    print(f"left out: {name}: {why}")


@dataclass(frozen=True)
class Goal:
    """One thing that was asked for, and what came out."""

    what: str
    result: float
    goal: float
    most: bool = False
    """Whether the goal is an upper bound."""
    unit: str = "x"
    note: str = ""
    """What was measured in the same sitting and bounds the result."""

    @property
    def met(self) -> bool:
        """Whether the result is good enough."""
        return self.result <= self.goal if self.most else self.result >= self.goal

    def __str__(self) -> str:
        """Return one line."""
        sign = "<=" if self.most else ">="
        return (
            f"{self.what:70}{self.result:10.3g} {self.unit:3} {sign} {self.goal:<7g} {'met' if self.met else 'NOT MET'}"
        )


def take_turns(contestants: Contestants, rounds: int, calls: int = 1) -> list[dict[str, float]]:
    """Return seconds a call of each contestant, for each round of A B C, B C A, ...; one round goes before, uncounted.

    A busy machine slows neighbours in time alike, so only ratios within a round mean something. Each goes first in its
    turn: what one leaves in the processor's cache helps or hinders the next. With ``--smoke`` one call of each is all.
    """
    turns: list[dict[str, float]] = []
    uncounted, rounds, calls = sized((1, rounds, calls), (0, 1, 1))
    names = list(contestants)
    for number in range(uncounted + rounds):
        turn = {}
        first = number % len(names)
        for name in names[first:] + names[:first]:
            call = contestants[name]
            start = time.perf_counter()
            for _ in range(calls):
                call()
            turn[name] = (time.perf_counter() - start) / calls
        turns.append({name: turn[name] for name in names})
    return turns[uncounted:]


def compare(turns: list[dict[str, float]], ours: str) -> dict[str, dict[str, float]]:
    """Return each contestant's median milliseconds, and its time over ours: median, quartiles."""
    table = {}
    for name in turns[0]:
        ratios = sorted(turn[name] / turn[ours] for turn in turns)
        table[name] = {
            "ms": 1000 * statistics.median(turn[name] for turn in turns),
            "ratio": statistics.median(ratios),
            "ratio_low": ratios[len(ratios) // 4],
            "ratio_high": ratios[-1 - len(ratios) // 4],
        }
    return table


def machine() -> dict[str, Any]:
    """Return what a reader must know of the machine."""
    packages = {
        name: metadata.version(name) for name in ("numpy", "torch", "opencv-python-headless", "scipy") if _has(name)
    }
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.system(),
        "python": platform.python_version(),
        **packages,
    }


def _has(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _cpu() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def report(
    name: str,
    tables: Mapping[str, Mapping[str, Mapping[str, float]]],
    goals: Sequence[Goal] = (),
    **facts: Any,  # noqa: ANN401 - plain values
) -> None:
    """Print tables and goals; write ``results/<name>.json`` with the machine, the facts, the goals and every ratio."""
    for title, table in tables.items():
        print(f"\n{title}\n{'':34}{'ms':>11}{'times ours':>12}   middle half of the rounds")
        for contestant, row in table.items():
            spread = f"{row['ratio_low']:.2f} .. {row['ratio_high']:.2f}"
            print(f"  {contestant:32}{row['ms']:11.3f}{row['ratio']:12.2f}   {spread}")
    for fact, value in facts.items():
        print(f"{fact}: {value}")
    for goal in goals:
        print(goal)
    content = {
        "benchmark": name,
        "machine": machine(),
        "tables": tables,
        "goals": [asdict(g) | {"met": g.met} for g in goals],
        **facts,
    }
    write(name, content)


def write(name: str, content: Mapping[str, Any], *, quiet: bool = False) -> None:
    """Write ``results/<name>.json``; with ``--smoke`` nothing is written."""
    text = json.dumps(content, indent=1) + "\n"
    path = RESULTS / f"{name}.json"
    if not SMOKE:
        RESULTS.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if not quiet:
        print(f"not written (--smoke): {path}" if SMOKE else f"written: {path}")
