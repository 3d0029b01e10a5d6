"""`repro data`: list, check and fetch data sets; the share of boundary pixels in a folder of masks."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import click
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID, track
from rich.table import Table as Grid

from repro.cli import options
from repro.cli.options import PATH, out
from repro.config import dataset_info
from repro.config.errors import DataError
from repro.data import camvid
from repro.data.dataset import Bytes
from repro.data.io import IMAGE_ENDINGS, LOSSLESS, list_folder, ordered, pick, read_ids, read_list
from repro.data.palette import VOC_CODING, Coding
from repro.data.verify import Line
from repro.data.verify import check as look
from repro.evaluation import regions
from repro.formatting import many

NAME = click.argument("name", type=options.Choice(tuple(dataset_info.DATASETS)), metavar="NAME")


@click.group()
def data() -> None:
    """Data sets: list, check, fetch, measure boundaries."""


@data.command("list", short_help="data sets, splits, how many images each should have")
@options.as_json
def data_list(*, as_json: bool) -> None:
    """List the data sets, their splits and how many images each should have."""
    list_datasets(out, as_json=as_json)


@data.command("check", short_help="is a data set whole? counted against the paper")
@NAME
@options.data_root
@options.as_json
def data_check(*, name: str, data_root: Path | None, as_json: bool) -> None:
    """Count the data set NAME against the paper and verify that every image has its mask."""
    if not check_dataset(out, name, data_root, as_json=as_json):
        sys.exit(1)


@data.command("boundary", short_help="the share of boundary pixels in a folder of masks")
@click.argument("folder", type=PATH)
@click.option("--list", "listed", type=PATH, help="file of mask names: only these")
@click.option("--without", type=PATH, help="file of mask names: all but these")
@click.option(
    "--within", type=click.IntRange(1, 100), default=7, show_default=True, help="width of the region in pixels"
)
@options.as_json
def data_boundary(*, folder: Path, listed: Path | None, without: Path | None, within: int, as_json: bool) -> None:
    """Measure the share of boundary pixels (Table 5) in FOLDER, PNG masks of class ids, by every interpretation."""
    show_boundary(out, folder, listed, without, within, as_json=as_json)


@data.command("fetch", short_help="download VOC, SBD or COCO, with checksums")
@NAME
@click.option("--data-root", type=PATH, envvar="REPRO_DATA", show_envvar=True, required=True, help="where to put it")
def data_fetch(*, name: str, data_root: Path) -> None:
    """Download the free parts of NAME, with checksums; an interrupted download goes on."""
    fetch_dataset(out, name, data_root)


def codings() -> tuple[Coding, ...]:
    """Return the palettes whose colours are known, Cityscapes' where its scripts are installed.

    A mask with another one is refused, as its entries may stand for anything.
    """
    if find_spec("cityscapesscripts") is None:
        return VOC_CODING, camvid.CODING
    from repro.data import cityscapes

    return VOC_CODING, camvid.CODING, cityscapes.CODING, cityscapes.TRAIN_CODING


@dataclass(frozen=True)
class Share:
    """One interpretation: the share of scored pixels in the region, pooled over all masks, and the masks' mean."""

    distance: str
    rim: str
    pooled: float
    mean: float


def show_boundary(
    out: Console, folder: Path, listed: Path | None, without: Path | None, within: int, *, as_json: bool
) -> None:
    """Measure a folder of masks and print the shares.

    Raises:
        DataError: the folder or a list cannot be read, no mask is left, or one of them is no mask.
        RegionError: a width that no region has.
    """
    paths, unknown = list(masks(folder, listed, without).values()), not_found(folder, without)
    known = codings()
    found = track(
        ordered(lambda i: counted(read_ids(paths[i], known), within), len(paths)),
        total=len(paths), console=out, transient=True, disable=as_json or not out.is_terminal,
    )  # fmt: skip
    shares = list(pooled(list(found)))
    if as_json:
        tree = {"folder": str(folder), "masks": len(paths), "within": within, "not_found": list(unknown),
                "shares": [asdict(s) for s in shares]}  # fmt: skip
        out.print_json(json.dumps(tree))
        return
    grid = Grid("distance", "void rim", "all pixels pooled", "mean of the masks", box=None, padding=(0, 2, 0, 0),
                title=f"{many(len(paths), 'mask')}: scored pixels within {within} of another label",
                title_justify="left", title_style="")  # fmt: skip
    for share in shares:
        rim = "is an edge" if share.rim == "edge" else "filled first"
        grid.add_row(share.distance, rim, f"{100 * share.pooled:.2f} %", f"{100 * share.mean:.2f} %")
    out.print(grid)
    if unknown:
        more = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
        out.print(f"not found: {unknown[0]}{more} of {without}", style="yellow", soft_wrap=True, markup=False)


def masks(folder: Path, listed: Path | None, without: Path | None) -> Mapping[str, Path]:
    """Return the masks of a folder by their names: those of one list, or those that another one lacks.

    Raises:
        DataError: the folder or a list cannot be read, a listed mask is missing, no name of ``without`` is there, or no
            mask is left.
    """
    found = _files(folder)
    if listed is not None:
        names = read_list(listed)
        found = dict(zip(names, pick(names, found, folder, "mask"), strict=True))
    if without is not None:
        left_out = frozenset(read_list(without))
        if len(unknown := not_found(folder, without)) == len(left_out):
            raise DataError(f"{without}: none of its {len(left_out)} names is a mask of {folder}, {unknown[0]!r} first")
        found = {name: path for name, path in found.items() if name not in left_out}
    if not found:
        raise DataError(f"{folder}: holds no mask (.png) to measure; give a folder of label maps and other lists")
    return found


def not_found(folder: Path, without: Path | None) -> tuple[str, ...]:
    """Return the names of a list that are no masks of a folder, each once."""
    found = _files(folder)
    return () if without is None else tuple(dict.fromkeys(name for name in read_list(without) if name not in found))


def _files(folder: Path) -> dict[str, Path]:
    """Return the files that can be masks; where there are only lossy ones, those, which are refused when read."""
    return list_folder(folder, LOSSLESS) or list_folder(folder, IMAGE_ENDINGS)


def counted(labels: Bytes, within: int) -> list[tuple[int, int]]:
    """Return the pixels in the region and the scored ones of a mask (h, w), for each interpretation."""
    scored = int((labels != regions.VOID).sum())
    return [
        (int(regions.boundary_band(labels, within, rim, distance).sum()), scored)
        for distance, rim in itertools.product(get_args(regions.Distance), get_args(regions.Rim))
    ]


def pooled(counts: list[list[tuple[int, int]]]) -> Iterator[Share]:
    """Yield the shares of each interpretation; masks that are void all over have none and are left out of the mean."""
    table = np.array(counts, np.float64)
    table = table[table[:, 0, 1] > 0]
    if not len(table):
        raise DataError("every mask is void all over; give masks with labels")
    for n, (distance, rim) in enumerate(itertools.product(get_args(regions.Distance), get_args(regions.Rim))):
        near, seen = table[:, n].T
        yield Share(distance, rim, float(near.sum() / seen.sum()), float((near / seen).mean()))


SHOWN = 20
"""Faults printed; the rest is counted."""


def list_datasets(out: Console, *, as_json: bool) -> None:
    """Print every data set with its splits and the number of images that the paper or its publisher counts."""
    known = {name: dict(info.images) for name, info in dataset_info.DATASETS.items()}
    if as_json:
        out.print_json(json.dumps(known))
        return
    grid = Grid(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, found in known.items():
        grid.add_row(f"[bold]{name}[/]", "  ".join(f"{s} {n:,}" if n else s for s, n in found.items()))
    out.print(grid)
    out.print("\nrepro data check NAME --data-root ROOT reads every image and mask (docs/data.md)", style="dim")


def check_dataset(out: Console, name: str, data_root: Path | None, *, as_json: bool) -> bool:
    """Read a whole data set and print counts, verdicts and faults; return whether all is well."""
    with _bars(out, quiet=as_json) as progress:
        report = look(name, data_root, progress)
    if as_json:
        tree = {"dataset": name, "ok": report.ok,
                "lines": [asdict(line) | {"verdict": line.verdict} for line in report.lines]}  # fmt: skip
        out.print_json(json.dumps(tree))
    else:
        _show(out, report.lines)
        for fault in report.faults[:SHOWN]:
            out.print(escape(fault), style="yellow", soft_wrap=True)
        if len(report.faults) > SHOWN:
            out.print(f"and {len(report.faults) - SHOWN:,} more (all of them with --json)")
    return report.ok


@contextmanager
def _bars(out: Console, *, quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a callback (name, done, all or 0) that shows one bar a name; no bars where the output is no terminal."""
    with Progress(console=out, disable=quiet or not out.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=None)
            bar.update(tasks[name], completed=done, total=total or None)

        yield progress


def _show(out: Console, lines: tuple[Line, ...]) -> None:
    grid = Grid("split", "found", "expected", "verdict", box=None, padding=(0, 2, 0, 0))
    for line in lines:
        found, expected = line.found, line.expected
        grid.add_row(line.name, "" if found is None else f"{found:,}",
                     "" if expected is None else f"{expected:,}", line.verdict)  # fmt: skip
    out.print(grid)


def fetch_dataset(out: Console, name: str, data_root: Path) -> None:
    """Download a data set's archives, check their sums, unpack them; goes on where it stopped."""
    from repro.data.download import fetch as download

    with _bars(out) as progress:
        folder = download(name, data_root, progress)
    out.print(f"{name} lies in {folder}", soft_wrap=True)
