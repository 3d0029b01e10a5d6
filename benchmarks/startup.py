"""How soon `repro list`, `plan` and the report are there, beside `import torch` alone: fresh processes, turn by turn.

python benchmarks/startup.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from _sitting import compare, report, take_turns

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
    report("startup", {"seconds to the end of a fresh process": table}, goal="list and plan < 300 ms, report < 1000 ms")


if __name__ == "__main__":
    main()
