"""Commands about final protocols: crf-grid, submit and score."""

from __future__ import annotations

from pathlib import Path

import click

from repro import options
from repro.options import out


@click.command(short_help="write the archive that a test server takes, checked")
@click.argument("table", metavar="TABLE")
@click.option("--profile", "-p", default="paper", show_default=True, help="the one whose data has a test server")
@options.steps
@options.recipe
@options.stride_in
@click.option(
    "--seed", type=options.NOT_NEGATIVE, default=0, show_default=True, help="which seed of the trained network"
)
@options.folder(None, "archive to write; by default below submissions/")
@click.option("--check", "archive", type=options.PATH, help="only validate this archive, whoever wrote it")
@options.data_root
@options.device
@click.option("--precision", default="auto", show_default=True, help="auto, 32 or bf16")
@options.runs
def submit(
    *,
    table: str,
    profile: str,
    steps: int | None,
    recipe: str,
    stride_in: str | None,
    seed: int,
    target: Path | None,
    archive: Path | None,
    data_root: Path | None,
    device: str,
    precision: str,
    runs: Path,
) -> None:
    """Predict a test set and write the archive that its server takes, checked.

    TABLE is table8 (PASCAL VOC 2012) or table10 (Cityscapes). Nothing is uploaded.
    """
    from repro.commands import submitting

    place = submitting.machine(runs, data_root, device, precision)
    request = submitting.Request(table, profile, place, steps, recipe, stride_in, seed, target)
    if archive is None:
        submitting.submit(out, request)
    else:
        submitting.check(out, request, archive)


@click.command(short_help="enter what a test server answered")
@click.argument("key")
@click.argument("miou", type=float)
@click.option("--date", default="", help="day of the answer, such as 2026-11-21; today where it is left out")
@click.option("--note", type=options.PATH, help="what repro submit wrote beside the archive, on another machine")
@options.runs
def score(*, key: str, miou: float, date: str, note: Path | None, runs: Path) -> None:
    """Enter what a test server answered, in per cent; Tables 8 and 10 show it.

    KEY is the one that repro submit printed, on this machine unless a --note is given. repro retract withdraws an
    answer.
    """
    from repro.commands import scoring

    scoring.score(out, key, miou, date, runs, note)


@click.command("crf-grid", short_help="try dense CRF parameters, best first")
@options.key
@click.option("--images", type=options.POSITIVE, default=64, show_default=True, help="how many training images")
@options.data_root
@options.runs
@options.as_json
def crf_grid(*, key: str, images: int, data_root: Path | None, runs: Path, as_json: bool) -> None:
    """Try dense CRF parameters on training images of a trained network, best first."""
    from repro.commands import gridding

    gridding.show(out, key, images, data_root, runs, as_json=as_json)
