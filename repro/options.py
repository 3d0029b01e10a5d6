"""Options that several commands share, and the console that they print to."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])
WIDE = 140
"""Columns where the output is no terminal and has no width of its own."""
RUNS = Path("runs")
MOST_SEEDS = 1000
"""More would only be a slip of the keyboard: a plan lists every run of every seed."""
PATH = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, file_okay=False)
POSITIVE, NOT_NEGATIVE = click.IntRange(min=1), click.IntRange(min=0)

out = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else WIDE)
err = Console(stderr=True, highlight=False, emoji=False)


def chain(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Return one decorator that applies several, the first one outermost."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


tables = click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
profile = click.option(
    "--profile", "-p", default="shapes", show_default=True, help="shapes, camvid_half, camvid_short, camvid or paper"
)
as_json = click.option("--json", "as_json", is_flag=True, help="machine-readable output")
runs = click.option("--runs", type=FOLDER, default=RUNS, show_default=True, help="folder of the records")
seeds = click.option(
    "--seeds", type=click.IntRange(1, MOST_SEEDS), default=1, show_default=True, help="how many seeds, from 0"
)
steps = click.option(
    "--steps", type=POSITIVE, help="cut every training to this many steps (another experiment, another key)"
)
stride_in = click.option(
    "--stride-in",
    type=click.Choice(["conv1", "conv2"]),
    help="convolution of a bottleneck that carries the stride in --weights, and in the network built for them: conv1 "
    "(the original ResNet) or conv2 (torchvision's; another experiment, another key)",
)
recipe = click.option("--recipe", default="", help="one of the profile's recipes")
request = chain(tables, profile, seeds, steps, recipe, stride_in, runs)
data_root = click.option("--data-root", type=PATH, help="where the data sets lie (or REPRO_DATA)")
weights = click.option("--weights", type=PATH, help="ImageNet weights, safetensors (or REPRO_WEIGHTS)")
device = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda")
key = click.option("--key", required=True, help="key or name of a record whose weights are on this machine")
seed = click.option("--seed", type=NOT_NEGATIVE, help="which seed of the key; the lowest where it is left out")


def folder(default: str | None, text: str = "folder to write to") -> Callable[[F], F]:
    """Return the option ``--out`` with a default of its own."""
    return click.option("--out", "target", type=PATH, default=default, show_default=default is not None, help=text)
