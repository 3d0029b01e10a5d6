"""How soon `repro list`, `plan` and the report are there, beside `import torch` alone: fresh processes, turn by turn.

python benchmarks/startup.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from _sitting import Goal, compare, report, take_turns

ROOT = Path(__file__).parent.parent


def fresh(*words: str) -> Callable[[], object]:
    """Return a call that runs Python with these words in the checkout and waits for its good end."""

    def call() -> object:
        return subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)

    return call


def main() -> None:
    """Compare, with the report written to a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        contestants = {
            "import torch": fresh("-c", "import torch"),
            "import torchvision": fresh("-c", "import torchvision"),
            "python alone": fresh("-c", "pass"),
            "repro list": fresh("-m", "repro", "list"),
            "repro plan all": fresh("-m", "repro", "plan", "all"),
            "repro status": fresh("-m", "repro", "status"),
            "repro.report": fresh("-m", "repro.report", "--out", folder),
        }
        table = compare(take_turns(contestants, rounds=5), "import torch")
    most = {"repro list": 300.0, "repro plan all": 300.0, "repro.report": 1000.0}
    goals = [Goal(f"start: {name}", table[name]["ms"], goal, most=True, unit="ms") for name, goal in most.items()]
    report("startup", {"seconds to the end of a fresh process": table}, goals)


if __name__ == "__main__":
    main()
