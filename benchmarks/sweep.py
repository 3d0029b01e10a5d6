"""Two runs of `shapes`: side by side on a core each, or one after the other on two threads.

    python benchmarks/sweep.py [--rounds 3] [--steps 150]

What `repro run --jobs` decides: fresh processes, as the command starts them, each training the profile's GCN k=7 for so
many steps on batches of its own; both orders train the same two runs. The time is that of the steps alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch
from _sitting import SMOKE, Goal, arguments, compare, report, sized, take_turns
from precision import MODELS, step

from repro.config.machine import keep_memory
from repro.runner.launchers.work import environment

HERE = Path(__file__).parent


def train(steps: int, threads: int) -> None:
    """Be one run: say when ready, begin when told, say when done."""
    torch.set_num_threads(threads)
    keep_memory()
    call = step(MODELS["GCN k=7"], bf16=False)
    for _ in range(5):
        call()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        for _ in range(steps):
            call()
        sys.stdout.write("done\n")
        sys.stdout.flush()


class Runs:
    """Processes of so many threads each."""

    def __init__(self, count: int, threads: int, steps: int) -> None:
        """Start them and wait until all are ready."""
        words = [sys.executable, str(HERE / "sweep.py"), "--as-run", str(threads), "--steps", str(steps)]
        words += ["--smoke"] * SMOKE
        env = {**os.environ, **environment(threads)}
        self.processes = [
            subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        self._hear()

    def _hear(self) -> None:
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() in {"ready\n", "done\n"}

    def __call__(self) -> None:
        """Train one run in each process, all at once."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        self._hear()

    def end(self) -> None:
        """Send them home."""
        for process in self.processes:
            process.communicate()


def main() -> None:
    """Measure and report, or be one of the runs."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=sized(150, 1))
    parser.add_argument("--as-run", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.as_run:
        train(asked.steps, asked.as_run)
        return
    beside = Runs(sized(2, 1), 1, asked.steps)
    alone = beside if SMOKE else Runs(1, 2, asked.steps)

    def in_turn() -> None:
        alone()
        alone()

    ours = "two processes, a thread each"
    table = compare(take_turns({ours: beside, "one process, two threads, in turn": in_turn}, asked.rounds), ours)
    for runs in (beside, alone):
        runs.end()
    ratio = table["one process, two threads, in turn"]["ratio"]
    title = f"two runs of shapes, GCN k=7, {asked.steps} steps each"
    report("sweep", {title: table}, [Goal("sweep of shapes on two cores: one run on two threads", ratio, 1.0)])


if __name__ == "__main__":
    main()
