"""Every goal beside its last result: printed, and written to ``results/README.md``.

python benchmarks/_goals.py
"""

from __future__ import annotations

import json
from typing import Any

from _sitting import RESULTS, Goal

HEAD = "| benchmark | work: against | result | goal | | load |\n|---|---|---|---|---|---|\n"


def row(name: str, load: object, given: dict[str, Any]) -> str:
    """Return one goal as a row of the table."""
    goal = Goal(*(given[field] for field in ("what", "result", "goal", "most", "unit")))
    sign = "<=" if goal.most else ">="
    word = "met" if goal.met else "**not met**"
    cells = (name, goal.what, f"{goal.result:.3g} {goal.unit}", f"{sign} {goal.goal:g} {goal.unit}", word, load)
    return f"| {' | '.join(map(str, cells))} |\n"


def main() -> None:
    """Collect what the benchmarks wrote."""
    rows, notes, machines = "", "", set()
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        machine = result["machine"]
        machines.add(f"{machine['cpu']}, {machine['cores']} cores, torch {machine.get('torch', 'none')}")
        rows += "".join(row(path.stem, machine["load"], goal) for goal in result.get("goals", ()))
        notes += "".join(
            f"- {g['what']}: {g['note']}.\n" for g in result.get("goals", ()) if g.get("note") and not g["met"]
        )
    text = (
        "# Goals and results\n\nWritten by `nox -s bench`, not by hand. `x`: the other's time over ours, the median of "
        "the rounds of one sitting. `load`: the machine's load average when the result was written; above its number "
        f"of cores, something else was running.\n\n{HEAD}{rows}\n{notes}\nMeasured on: {'; '.join(sorted(machines))}.\n"
    )
    (RESULTS / "README.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
