"""Commands for a short slot on a machine without network: bundle make, run and merge."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from repro import options
from repro.options import FOLDER, PATH, out


@click.group(short_help="a short slot on a machine without network: make, run, merge")
def bundle() -> None:
    """Carry runs to a machine without network and bring their records back."""


@bundle.command("make", short_help="write code, data, weights and the plan into one archive or several")
@options.request
@click.option("--only", default="", help="only runs whose name contains one of these, comma-separated")
@click.option("--missing", is_flag=True, help="leave out what has a record in runs/local")
@options.data_root
@options.weights
@click.option("--out", "target", type=PATH, required=True, help="folder, or archive to write (.tar)")
@click.option("--part-size", default="", help="cut into parts of this size at most, such as 60M; each usable in turn")
@click.option("--priority", default="", help="networks that run first, such as base,gcn-k15, comma-separated")
def bundle_make(
    *,
    only: str,
    missing: bool,
    data_root: Path | None,
    weights: Path | None,
    target: Path,
    part_size: str,
    priority: str,
    **words: Any,  # noqa: ANN401 - the fields of planning.Request
) -> None:
    """Write the code at this commit, the data of the planned splits, the weights and the jobs by priority.

    TABLE is table2, 2, 1,3-5 or all. Every seed is a round: seed 0 of all networks, then seed 1.
    """
    from repro.commands import bundling
    from repro.commands.planning import Request

    request = Request(**{**words, "tables": tuple(words["tables"])})
    bundling.make(
        out, request, target, only=only, data_root=data_root, weights=weights, part_size=part_size, priority=priority,
        missing=missing,
    )  # fmt: skip


@bundle.command("run", short_help="run a bundle by priority until a limit")
@click.argument("archives", nargs=-1, required=True, type=PATH, metavar="ARCHIVE...")
@click.option("--out", "target", type=FOLDER, required=True, help="folder that comes back: records, log, summary")
@click.option("--work", type=FOLDER, help="folder to unpack to and train in; by default one of the bundle's own")
@click.option("--time-limit", default="", help="stop after this time from the start, such as 90s, 9m or 1h30m")
@click.option("--jobs", type=int, help="runs side by side, spread over the GPUs; by default one a GPU")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda")
@click.option("--precision", default="auto", show_default=True, help="auto, 32 or bf16")
@click.option("--bring", default="", help="networks whose weights come back as float16, such as gcn-k15-br (seed 0)")
@click.option("--file-size", default="16M", show_default=True, help="no file that comes back is larger")
def bundle_run(
    *,
    archives: tuple[Path, ...],
    target: Path,
    work: Path | None,
    time_limit: str,
    jobs: int | None,
    device: str,
    precision: str,
    bring: str,
    file_size: str,
) -> None:
    """Verify and unpack the parts of a bundle, run its jobs by priority, archive each record as it ends.

    The parts may come in several calls; what was unpacked and finished stays in the folder of --work.
    """
    began = time.monotonic()
    from repro.bundle import packages
    from repro.bundle.manifest import BundleError

    if lacking := packages.missing():
        raise BundleError(packages.sentence(lacking))
    from repro.bundle import run as running
    from repro.bundle import units
    from repro.launch import budget

    how = running.How(
        archives, target.absolute(), work and work.absolute(), jobs, device, precision,
        budget.read(time_limit) if time_limit else None,
        tuple(word.strip() for word in bring.split(",") if word.strip()),
        units.size(file_size, "--file-size"), began,
    )  # fmt: skip
    sys.exit(running.run(out, how))


@bundle.command("merge", short_help="adopt the records that came back, all or none")
@click.argument("archives", nargs=-1, required=True, type=PATH, metavar="ARCHIVE...")
@click.option("--into", default="local", show_default=True, help="local, or reference for maintainers")
@options.runs
def bundle_merge(*, archives: tuple[Path, ...], into: str, runs: Path) -> None:
    """Check the records that came back and adopt them beside those that are here; all of them, or none."""
    from repro.commands import bundling

    bundling.merge(out, archives, runs, into)
