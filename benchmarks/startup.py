"""How soon `repro list`, `plan`, the report and a training are there, beside `import torch` alone: in fresh processes.

Each finds the bytecode that the uncounted first round left, as at a user's second start (pip leaves the libraries').

python benchmarks/startup.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from _sitting import SMOKE, Goal, arguments, compare, report, sized, take_turns

ROOT = Path(__file__).parent.parent
TRAINING = """
import sys
from pathlib import Path
from repro.config import profiles
from repro.config.experiment import Training, folder_name
from repro.config.machine import Machine
from repro.config.networks import GCN, Model
from repro.runner import worker

def stop(event):
    if event["phase"] == "train" and "step" in event:
        raise SystemExit(int("torchvision" in sys.modules))

folder = Path(sys.argv[1])
run = profiles.get("shapes", steps=1).resolve(Training(Model(GCN(3))))
worker.execute(run, 0, folder_name(run, 0), Machine(runs=folder, cache=folder / "cache", device="cpu"), stop)
raise SystemExit("the training ended without a step")
"""
"""From the start of a worker's imports to the end of its first step, its decoded data lying ready."""


def fresh(folder: str, *words: str) -> Callable[[], object]:
    """Return a call that runs Python with these words in the checkout and waits for its good end."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env = {**kept, "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}

    def call() -> object:
        return subprocess.run([sys.executable, *words], cwd=ROOT, env=env, check=True, capture_output=True)

    return call


def main() -> None:
    """Compare, with everything written to a folder that is thrown away."""
    arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = sized("import torch", "repro list")
        contestants = {
            "import torch": fresh(folder, "-c", "import torch"),
            "import torch, torchvision": fresh(folder, "-c", "import torch, torchvision"),
            "python alone": fresh(folder, "-c", "pass"),
            "repro list": fresh(folder, "-m", "repro", "list"),
            "repro plan all": fresh(folder, "-m", "repro", "plan", "all"),
            "repro status": fresh(folder, "-m", "repro", "status"),
            "repro.report": fresh(folder, "-m", "repro.report", "--out", f"{folder}/tables"),
            "a training's first step": fresh(folder, "-c", TRAINING, f"{folder}/runs"),
        }
        if SMOKE:  # the rest are commands that the tests start anyway
            contestants = {name: contestants[name] for name in (base, "a training's first step")}
        table = compare(take_turns(contestants, rounds=5), base)
    most = {"repro list": 300.0, "repro plan all": 300.0, "repro.report": 1000.0}
    goals = [
        Goal(f"start: {name}", table[name]["ms"], goal, most=True, unit="ms")
        for name, goal in most.items()
        if name in table
    ]
    report("startup", {"seconds to the end of a fresh process": table}, goals)


if __name__ == "__main__":
    main()
