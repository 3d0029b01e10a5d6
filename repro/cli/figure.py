"""`repro figure`: draw figures from the built networks and the records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from repro.cli import options
from repro.cli.options import out
from repro.config import profiles
from repro.config.errors import FigureError
from repro.figures.build import Request, draw
from repro.paper.tables import table_docs


def _figure_words(_ctx: click.Context, _param: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse the name of a table among the figures, with the command that runs it."""
    for word in ",".join(words).replace(" ", "").lower().split(","):
        if word in table_docs():
            raise FigureError(f"{word!r} is a table, not a figure; run it by: repro run {word}")
    return words


@click.command()
@click.argument(
    "names",
    nargs=-1,
    required=True,
    metavar="FIGURE...",
    shell_complete=options.complete_figures,
    callback=_figure_words,
)
@options.profile
@options.local
@options.folder(None)
@options.data_root
@options.steps
@options.recipe
@options.device
@options.stride_in
@options.runs
def figure(*, target: Path | None, **words: Any) -> None:  # noqa: ANN401 - the fields of Request
    """Draw figures from the built networks and the records, as PDF, PNG and JSON.

    FIGURE is figure2, 2, kernel_curve or all.
    """
    sys.exit(show(out, options.make(Request, words, out=target)))


def show(out: Console, request: Request) -> int:
    """Draw figures; say which cannot be drawn and why; return 2 where there was one, else 0.

    Raises:
        SpecError: there is no such device.
    """
    if request.device == "cuda":  # checked before anything is drawn; torch is imported only where a GPU was asked for
        from repro.training.distributed import device_of

        device_of(request.device)
    profile = profiles.get(request.profile, steps=request.steps, recipe=request.recipe, stride_in=request.stride_in)
    evidence = request.evidence()
    faults = []
    for figure in request.figures:
        try:
            for path in draw(figure, profile, evidence, request):
                out.print(f"written: {path}", soft_wrap=True)
        except FigureError as error:
            faults.append(str(error))
    for fault in faults:
        out.print(f"repro: {fault}", style="red", soft_wrap=True)
    return 2 if faults else 0
