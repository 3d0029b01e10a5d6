"""Options that several commands share, their completion, the request that they make, and the console."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from repro.config import profiles
from repro.config.console import clean
from repro.config.errors import SpecError, near
from repro.config.machine import CACHE, DEVICES, LAYOUTS, WIDTHS

if TYPE_CHECKING:
    from repro.config.identity import Sources
    from repro.paper.schema import Table
    from repro.results.records import RecordStore
    from repro.runner.plan import Plan


F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
WIDE = 140
"""Columns where the output is no terminal and has no width of its own."""
RUNS = Path("runs")
MOST_SEEDS = 1000
"""More would only be a slip of the keyboard: a plan lists every run of every seed."""
PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
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


class Choice(click.Choice):  # type: ignore[type-arg]  # click 8.1's is not generic
    """A choice whose error names the nearest value."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's
        """Return the value; raise ``BadParameter`` for one that is not among the choices."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(error.message.rstrip(".") + near(str(value), self.choices), param, ctx)


class Number(click.FloatRange):
    """A range that holds no nan."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's
        """Return the value as a float; raise ``BadParameter`` outside the range."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


SHARE, FINITE = Number(0, 1, min_open=True), Number(0, math.inf, max_open=True)


def _starting(names: dict[str, str], start: str) -> list[CompletionItem]:
    return [CompletionItem(name, help=about or None) for name, about in names.items() if name.startswith(start)]


def _table_words(_ctx: click.Context, _param: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse the name of a figure among the tables, with the command that draws it."""
    from repro.figures import figure_docs
    from repro.paper.tables import select_tables

    for word in ",".join(words).replace(" ", "").lower().split(","):
        try:
            select_tables([word])
        except SpecError:
            if word in figure_docs():
                raise SpecError(f"{word!r} is a figure, not a table; draw it by: repro figure {word}") from None
    return words


def complete_tables(_ctx: click.Context, _param: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the name of a table."""
    from repro.paper.tables import table_docs

    return _starting({**table_docs(), "all": "every table"}, start)


def complete_figures(_ctx: click.Context, _param: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the name of a figure."""
    from repro.figures import figure_docs

    return _starting({**figure_docs(), "all": "every figure"}, start)


def complete_keys(ctx: click.Context, _param: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete key or name of a record below ``--runs``; keys are parts of the names of folders."""
    folders = sorted((ctx.params.get("runs") or RUNS).glob("*/*/record.json"))
    names = {folder.parent.name: "" for folder in folders}
    keys = {name.split("-")[-2]: name for name in names if name.count("-") > 1}
    return _starting({**keys, **names}, start)


def complete_records(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete a table, or key or name of a record."""
    return [*complete_tables(ctx, param, start), *complete_keys(ctx, param, start)]


def complete_recipes(ctx: click.Context, _param: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the name of a recipe of the profile that is named, else of the default one."""
    name = ctx.params.get("profile") or profiles.DEFAULT
    return _starting(dict.fromkeys(profiles.PROFILES[name].recipes, ""), start)


def chain(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Return one decorator that applies several, the first one outermost."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def make(kind: type[T], words: dict[str, Any], **more: Any) -> T:  # noqa: ANN401 - fields of any type
    """Return a dataclass whose fields are the options of their names, and ``more``."""
    named = {field.name: words[field.name] for field in fields(kind) if field.name in words}  # type: ignore[arg-type]
    return kind(**named, **more)


def choice(name: str, values: tuple[str, ...], text: str, default: str = "auto") -> Callable[[F], F]:
    """Return an option that takes one of some words."""
    return click.option(name, type=Choice(values), default=default, show_default=True, help=text)


PROFILE = Choice(tuple(profiles.PROFILES))


def table_words(metavar: str = "TABLE...", complete: Complete = complete_tables) -> Callable[[F], F]:
    """Return the argument ``tables``; it may be left out where its metavar is in brackets."""
    return click.argument(
        "tables", nargs=-1, required=metavar[0] != "[", metavar=metavar, shell_complete=complete, callback=_table_words
    )


tables, some_tables = table_words(), table_words("[TABLE...]")
profile = click.option(
    "--profile",
    "-p",
    type=PROFILE,
    default=profiles.DEFAULT,
    show_default=True,
    help="data and networks (docs/scale.md)",
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
    type=Choice(["conv1", "conv2"]),
    help="convolution of a bottleneck that carries the stride in --weights, and in the network built for them: conv1 "
    "(the original ResNet) or conv2 (torchvision's; another experiment, another key)",
)
recipe = click.option("--recipe", default="", shell_complete=complete_recipes, help="one of the profile's recipes")
request = chain(tables, profile, seeds, steps, recipe, stride_in, runs)
data_root = click.option(
    "--data-root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    envvar="REPRO_DATA",
    show_envvar=True,
    help="existing folder of the data sets",
)
weights = click.option(
    "--weights", type=FILE, envvar="REPRO_WEIGHTS", show_envvar=True, help="ImageNet weights, safetensors"
)
cache = click.option(
    "--cache", type=FOLDER, envvar="REPRO_CACHE", show_envvar=True, default=CACHE, show_default=True,
    help="folder of the decoded data",
)  # fmt: skip
device = choice("--device", DEVICES, "where networks run")
precision = choice("--precision", WIDTHS, "of convolutions and matrix products")
layout = choice("--layout", LAYOUTS, "of feature maps in memory")
local = click.option("--local", is_flag=True, help="the records of this machine (runs/local), not the project's")
key = click.option(
    "--key",
    required=True,
    shell_complete=complete_keys,
    help="key or name of a record whose weights are on this machine",
)
seed = click.option("--seed", type=NOT_NEGATIVE, help="which seed of the key; the lowest where it is left out")


def folder(default: str | None, text: str = "folder to write to") -> Callable[[F], F]:
    """Return the option ``--out`` with a default of its own."""
    return click.option("--out", "target", type=PATH, default=default, show_default=default is not None, help=text)


@dataclass(frozen=True)
class Request:
    """Tables, profile and seeds as typed."""

    tables: tuple[str, ...]
    profile: str = profiles.DEFAULT
    seeds: int = 1
    steps: int | None = None
    """None: the profile's length."""
    recipe: str = ""
    runs: Path = RUNS
    stride_in: str | None = None
    """None: as in the profile's networks."""

    @property
    def selected(self) -> list[Table]:
        """The tables; of all, additional ones only where the profile has their data.

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
        return profiles.get(self.profile, steps=self.steps, recipe=self.recipe, stride_in=self.stride_in)

    @property
    def shelf(self) -> RecordStore:
        """All records, reference and local."""
        from repro.config.machine import Machine
        from repro.results import records

        place = Machine(runs=self.runs)
        return records.load({"reference": place.reference, "local": place.local})

    def plan(self, shelf: RecordStore, wished: Sources | None = None) -> Plan:
        """The plan of all of it; see ``plan.plan_runs`` for ``wished``."""
        from repro.paper.tables import seeds_from
        from repro.runner.plan import make_plan

        return make_plan(self.selected, self.resolved, seeds_from(self.seeds), shelf, wished=wished)
