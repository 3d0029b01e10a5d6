"""Commands about pictures and data: figure, predict, export, vrf, data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from repro import options
from repro.options import PATH, out


@click.command(short_help="draw a figure from the networks and the records")
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
    from repro.commands import figuring

    request = figuring.Request(
        names, profile, runs, target, local, data_root, steps, recipe, device, stride_in=stride_in
    )
    sys.exit(figuring.show(out, request))


@click.command(short_help="segment pictures of your own")
@click.argument("images", nargs=-1, required=True, type=PATH, metavar="IMAGE...")
@options.key
@options.seed
@options.folder("predictions")
@options.device
@options.runs
def predict(*, images: tuple[Path, ...], key: str, seed: int | None, target: Path, device: str, runs: Path) -> None:
    """Segment pictures of your own with a trained record: label map, overlay and legend of each."""
    from repro.commands import predicting

    predicting.predict(out, list(images), key, seed, target, runs, device)


@click.command(short_help="write the weights as safetensors")
@options.key
@click.option("--out", "target", type=PATH, required=True, help="file to write, .safetensors")
@options.seed
@options.runs
def export(*, key: str, target: Path, seed: int | None, runs: Path) -> None:
    """Write the weights of a trained record as float16 safetensors."""
    from repro.commands import predicting

    predicting.export(out, key, seed, target, runs)


@click.command(short_help="the valid receptive field of one position of a picture")
@click.argument("image", type=PATH)
@options.key
@click.option("--at", default="", help="position x,y in pixels; the centre where it is left out")
@click.option(
    "--stride", type=options.POSITIVE, default=3, show_default=True, help="distance of neighbouring occluders"
)
@click.option("--occluder", type=options.POSITIVE, default=11, show_default=True, help="side of the occluder, odd")
@click.option("--threshold", type=float, default=0.2, show_default=True, help="share of the largest change that counts")
@options.seed
@options.folder("fields")
@options.device
@options.runs
def vrf(
    *,
    image: Path,
    key: str,
    at: str,
    stride: int,
    occluder: int,
    threshold: float,
    seed: int | None,
    target: Path,
    device: str,
    runs: Path,
) -> None:
    """Measure the valid receptive field of one position of a picture (Figure 3)."""
    from repro.commands import viewing

    viewing.show(out, viewing.Request(image, key, at, stride, occluder, threshold, seed, target, runs, device))


@click.command("vrf-area", short_help="how large the valid receptive fields are, against k")
@options.request
@click.option("--images", type=options.POSITIVE, default=16, show_default=True, help="how many test images")
@click.option(
    "--smallest",
    type=options.POSITIVE,
    default=1000,
    show_default=True,
    help="pixels that an image's largest object needs",
)
@click.option(
    "--stride", type=options.POSITIVE, default=3, show_default=True, help="distance of neighbouring occluders"
)
@click.option("--occluder", type=options.POSITIVE, default=11, show_default=True, help="side of the occluder, odd")
@click.option("--threshold", type=float, default=0.2, show_default=True, help="share of the largest change that counts")
@click.option("--again", is_flag=True, help="measure anew what is stored already")
@options.device
def vrf_area(
    *,
    images: int,
    smallest: int,
    stride: int,
    occluder: int,
    threshold: float,
    again: bool,
    device: str,
    **words: Any,  # noqa: ANN401 - the fields of planning.Request
) -> None:
    """Measure the areas of valid receptive fields of trained networks, and store them beside their records.

    TABLE is table1, 1, 1,3-5 or all; the weights of each run must be on this machine.
    """
    from repro.areas import Settings
    from repro.commands import occluding
    from repro.commands.planning import Request

    request = Request(**{**words, "tables": tuple(words["tables"])})
    occluding.show(out, request, Settings(images, smallest, occluder, stride, threshold), again=again, device=device)


@click.group(short_help="data sets: list, check, fetch, measure boundaries")
def data() -> None:
    """Data sets: list, check, fetch, measure boundaries."""


@data.command("list", short_help="data sets, splits, how many images each should have")
@options.as_json
def data_list(*, as_json: bool) -> None:
    """List the data sets, their splits and how many images each should have."""
    from repro.commands import datasets

    datasets.list_(out, as_json=as_json)


@data.command("check", short_help="is a data set whole? counted against the paper")
@click.argument("name")
@options.data_root
@options.as_json
def data_check(*, name: str, data_root: Path | None, as_json: bool) -> None:
    """Count the data set NAME against the paper and verify that every image has its mask."""
    from repro.commands import datasets

    if not datasets.check(out, name, data_root, as_json=as_json):
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
    """Measure the share of boundary pixels (Table 5) in FOLDER, PNG masks of class ids, in every reading of it."""
    from repro.commands import boundary

    boundary.show(out, folder, listed, without, within, as_json=as_json)


@data.command("fetch", short_help="download VOC, SBD or COCO, with checksums")
@click.argument("name")
@click.option("--data-root", type=PATH, required=True, help="where to put it")
def data_fetch(*, name: str, data_root: Path) -> None:
    """Download what may be downloaded of NAME, with checksums; an interrupted download goes on."""
    from repro.commands import datasets

    datasets.fetch(out, name, data_root)
