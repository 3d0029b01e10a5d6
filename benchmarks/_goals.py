"""Every goal beside its last result, or that there is none: printed, and written to ``results/README.md``.

python benchmarks/_goals.py
"""

from __future__ import annotations

import json
from typing import Any

from _sitting import RESULTS, Goal

HEAD = "| benchmark | work: against | result | goal | | load |\n|---|---|---|---|---|---|\n"

WANTED = (
    ("device: GCN k=15, batch 4, 384 x 480: a step", 6.5, True, "ms"),
    ("device: GCN k=15, batch 4, 384 x 480: images", 600.0, False, "/s"),
    ("device: GCN k=15, batch 4, 384 x 480: operations", 58.0, False, "TFLOP/s"),
    ("device: a step of GCN k=15: smp FPN-ResNet50", 1.5, False, "x"),
    ("device: a step of GCN k=15: torchvision deeplabv3", 4.0, False, "x"),
    ("device: share of a step spent waiting for data", 0.03, True, ""),
    ("device: evaluation of 101 pictures", 0.5, True, "s"),
    ("device: all 19 trainings of camvid_short, one seed", 240.0, True, "s"),
    ("device: 57 trainings of camvid_short, three seeds, in slots of 9 minutes", 2.0, True, "slots"),
    ("training step, GCN k=7: smp FPN", 1.2, False, "x"),
)
"""Goals that may have no result yet: what, goal, whether it is an upper bound, unit. ``device``: an H100."""


def row(name: str, load: object, given: dict[str, Any]) -> str:
    """Return one goal as a row of the table."""
    goal = Goal(*(given[field] for field in ("what", "result", "goal", "most", "unit")))
    sign = "<=" if goal.most else ">="
    word = "met" if goal.met else "**not met**"
    cells = (name, goal.what, f"{goal.result:.3g} {goal.unit}", f"{sign} {goal.goal:g} {goal.unit}", word, load)
    return f"| {' | '.join(map(str, cells))} |\n"


def page() -> str:
    """Return the page of everything that the benchmarks wrote."""
    rows, notes, machines = "", "", set()
    have: set[tuple[str, float]] = set()
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        machine = result["machine"]
        machines.add(f"{machine['cpu']}, {machine['cores']} cores, torch {machine.get('torch', 'none')}")
        rows += "".join(row(path.stem, machine["load"], goal) for goal in result.get("goals", ()))
        have |= {(goal["what"], goal["goal"]) for goal in result.get("goals", ())}
        notes += "".join(
            f"- {g['what']}: {g['note']}.\n" for g in result.get("goals", ()) if g.get("note") and not g["met"]
        )
    for what, goal, most, unit in WANTED:
        if (what, goal) not in have:
            name, sign = ("gpu" if what.startswith("device") else "train_step"), "<=" if most else ">="
            rows += f"| {name} | {what} | not measured | {sign} {goal:g} {unit} |  |  |\n"
    return (
        "# Goals and results\n\nWritten by `nox -s bench`, not by hand. `x`: the other's time over ours, the median of "
        "the rounds of one sitting. `load`: the machine's load average when the result was written; above its number "
        f"of cores, something else was running.\n\n{HEAD}{rows}\n{notes}\nMeasured on: {'; '.join(sorted(machines))}.\n"
    )


def main() -> None:
    """Write the page and print it."""
    text = page()
    (RESULTS / "README.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
