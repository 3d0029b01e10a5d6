"""Options that several commands share, the request that they make, and the console that they print to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from repro.config.console import clean

if TYPE_CHECKING:
    from repro.config import profiles
    from repro.config.identity import Sources
    from repro.paper.schema import Table
    from repro.results.records import Shelf
    from repro.runner.plan import Plan


F = TypeVar("F", bound=Callable[..., Any])
WIDE = 140
"""Columns where the output is no terminal and has no width of its own."""
RUNS = Path("runs")
MOST_SEEDS = 1000
"""More would only be a slip of the keyboard: a plan lists every run of every seed."""
PATH = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, file_okay=False)
POSITIVE, NOT_NEGATIVE = click.IntRange(min=1), click.IntRange(min=0)


class CleanConsole(Console):
    """A console that writes out control characters: names of files and of archive members come from anyone."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Render, cleaning all text but rich's own controls."""
        for part in super().render(renderable, options):
            yield part if part.control else Segment(clean(part.text), part.style)


out = CleanConsole(highlight=False, emoji=False, width=None if sys.stdout and sys.stdout.isatty() else WIDE)
err = CleanConsole(stderr=True, highlight=False, emoji=False)


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


@dataclass(frozen=True)
class Request:
    """What the user asked for, as typed."""

    tables: tuple[str, ...]
    profile: str
    seeds: int
    steps: int | None
    """None: as long as the profile says."""
    recipe: str
    runs: Path
    stride_in: str | None = None
    """None: where the profile's networks have it."""

    @property
    def selected(self) -> list[Table]:
        """The tables; of all, the suite's own only where the profile has their data.

        Raises:
            SpecError: a word that names no table.
        """
        from repro.paper.tables import select_tables
        from repro.runner.plan import fills

        found = select_tables(list(self.tables))
        if "all" not in ",".join(self.tables).lower().split(","):
            return found
        return [table for table in found if not table.own or fills(self.resolved, table)]

    @property
    def resolved(self) -> profiles.Profile:
        """The profile with the asked-for length and recipe."""
        from repro.config import profiles

        return profiles.get(self.profile, steps=self.steps, recipe=self.recipe, stride_in=self.stride_in)

    @property
    def shelf(self) -> Shelf:
        """All records, reference and local."""
        from repro.config.machine import Machine
        from repro.results import records

        place = Machine(runs=self.runs)
        return records.load({"reference": place.reference, "local": place.local})

    def plan(self, shelf: Shelf, wished: Sources | None = None) -> Plan:
        """The plan of all of it; see ``plan.plan_runs`` for ``wished``."""
        from repro.paper.tables import seeds_from
        from repro.runner.plan import make_plan

        return make_plan(self.selected, self.resolved, seeds_from(self.seeds), shelf, wished=wished)


def make_request(words: dict[str, Any]) -> Request:
    """Return the request of a command whose options are those of ``request``."""
    return Request(**{**words, "tables": tuple(words["tables"])})
