"""`repro data boundary`: how much of a folder of masks lies in Table 5's boundary region, in every reading of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table as Grid

from repro import regions
from repro.data import camvid
from repro.data.dataset import Bytes, DataError
from repro.data.files import IMAGE_ENDINGS, LOSSLESS, list_folder, pick, read_ids, read_list
from repro.data.palette import VOC_CODING, Coding
from repro.data.parallel import ordered


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
                title=f"{len(paths):,} masks: scored pixels within {within} of another label", title_justify="left",
                title_style="")  # fmt: skip
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
