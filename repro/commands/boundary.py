"""`repro data boundary`: how much of a folder of masks lies in Table 5's boundary region, in every reading of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table as Grid

from repro import regions
from repro.data.dataset import Bytes, DataError
from repro.data.files import list_folder, pick, read_ids, read_list
from repro.data.parallel import ordered


@dataclass(frozen=True)
class Share:
    """One reading: the share of scored pixels in the region, pooled over all masks, and the mean of the masks'."""

    distance: str
    rim: str
    pooled: float
    mean: float


def show(out: Console, folder: Path, listed: Path | None, without: Path | None, within: int, *, as_json: bool) -> None:
    """Measure a folder of masks and print the shares.

    Raises:
        DataError: the folder or a list cannot be read, no mask is left, or one of them is no mask.
        RegionError: a width that no region has.
    """
    paths = list(masks(folder, listed, without).values())
    found = track(
        ordered(lambda i: counted(read_ids(paths[i]), within), len(paths)),
        total=len(paths), console=out, transient=True, disable=as_json or not out.is_terminal,
    )  # fmt: skip
    shares = list(pooled(list(found)))
    if as_json:
        tree = {"folder": str(folder), "masks": len(paths), "within": within, "shares": [asdict(s) for s in shares]}
        out.print_json(json.dumps(tree))
        return
    grid = Grid("distance", "void rim", "all pixels pooled", "mean of the masks", box=None, padding=(0, 2, 0, 0),
                title=f"{len(paths):,} masks: scored pixels within {within} of another label", title_justify="left",
                title_style="")  # fmt: skip
    for share in shares:
        rim = "is an edge" if share.rim == "edge" else "filled first"
        grid.add_row(share.distance, rim, f"{100 * share.pooled:.2f} %", f"{100 * share.mean:.2f} %")
    out.print(grid)


def masks(folder: Path, listed: Path | None, without: Path | None) -> Mapping[str, Path]:
    """Return the masks of a folder by their names: those of one list, or those that another one lacks."""
    found = {name: path for name, path in list_folder(folder).items() if path.suffix.lower() == ".png"}
    if listed is not None:
        names = read_list(listed)
        found = dict(zip(names, pick(names, found, folder, "mask"), strict=True))
    if without is not None:
        left_out = set(read_list(without))
        found = {name: path for name, path in found.items() if name not in left_out}
    if not found:
        raise DataError(f"{folder}: holds no mask (.png) to measure; give a folder of label maps and other lists")
    return found


def counted(labels: Bytes, within: int) -> list[tuple[int, int]]:
    """Return the pixels in the region and the scored ones of a mask (h, w), for each reading."""
    scored = int((labels != regions.VOID).sum())
    return [
        (int(regions.boundary_band(labels, within, rim, distance).sum()), scored)
        for distance, rim in itertools.product(get_args(regions.Distance), get_args(regions.Rim))
    ]


def pooled(counts: list[list[tuple[int, int]]]) -> Iterator[Share]:
    """Yield the shares of each reading; masks that are void all over have none and are left out of the mean."""
    table = np.array(counts, np.float64)
    table = table[table[:, 0, 1] > 0]
    if not len(table):
        raise DataError("every mask is void all over; give masks with labels")
    for n, (distance, rim) in enumerate(itertools.product(get_args(regions.Distance), get_args(regions.Rim))):
        near, seen = table[:, n].T
        yield Share(distance, rim, float(near.sum() / seen.sum()), float((near / seen).mean()))
