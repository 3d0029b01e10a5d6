"""`repro figure`: draw figures from the built networks and the records."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from repro.cli import options
from repro.cli.options import out
from repro.config import profiles
from repro.config.errors import FigureError
from repro.figures.build import Request, draw


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="FIGURE...")
@options.profile
@click.option("--local", is_flag=True, help="the records of this machine, not the project's")
@options.folder(None)
@options.data_root
@options.steps
@options.recipe
@options.device
@options.stride_in
@options.runs
def figure(
    *,
    names: tuple[str, ...],
    profile: str,
    local: bool,
    target: Path | None,
    data_root: Path | None,
    steps: int | None,
    recipe: str,
    device: str,
    stride_in: str | None,
    runs: Path,
) -> None:
    """Draw figures from the built networks and the records, as PDF, PNG and JSON.

    FIGURE is figure2, 2, kernel_curve or all.
    """
    from repro.figures import build

    request = build.Request(names, profile, runs, target, local, data_root, steps, recipe, device, stride_in=stride_in)
    sys.exit(show(out, request))


def show(out: Console, request: Request) -> int:
    """Draw figures; say which cannot be drawn and why; return 2 where there was one, else 0.

    Raises:
        SpecError: there is no such device.
    """
    check_device(request.device)
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


def check_device(word: str) -> None:
    """Raise ``SpecError`` before anything is drawn; torch is imported only where a GPU was asked for."""
    if word not in {"auto", "cpu"}:
        from repro.training.distributed import device_of

        device_of(word)
