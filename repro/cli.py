"""The `repro` command: list, plan, cost, run, status, report and the rest, each a thin door to a module."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from repro import __version__
from repro.errors import is_ours

app = typer.Typer(
    name="repro",
    help="Reproduce, cell by cell, the tables and figures of the Global Convolutional Network paper.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
WIDE = 140
"""Columns where the output is no terminal and has no width of its own."""
out = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=WIDE)
err = Console(stderr=True, highlight=False)

Tables = Annotated[list[str], typer.Argument(help="table2, 2, 1,3-5 or all", show_default=False)]
ProfileName = Annotated[str, typer.Option("--profile", "-p", help="shapes, camvid or paper")]
Json = Annotated[bool, typer.Option("--json", help="machine-readable output")]
Seeds = Annotated[int, typer.Option(help="how many seeds, from 0")]
Steps = Annotated[int, typer.Option(help="cut every training to this many steps (another experiment, another key)")]
RecipeName = Annotated[str, typer.Option("--recipe", help="one of the profile's recipes")]
Runs = Annotated[Path, typer.Option("--runs", help="folder of the records")]
DataRoot = Annotated[Path | None, typer.Option("--data-root", help="where the data sets lie (or REPRO_DATA)")]
Weights = Annotated[Path | None, typer.Option("--weights", help="ImageNet weights, safetensors (or REPRO_WEIGHTS)")]
Key = Annotated[str, typer.Option("--key", help="key or name of a record whose weights are on this machine")]
Seed = Annotated[int | None, typer.Option("--seed", help="which seed of the key; the lowest where it is left out")]
RUNS = Path("runs")


def _version(asked: bool) -> None:
    if asked:
        out.print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Reproduce, cell by cell, the tables and figures of the Global Convolutional Network paper."""


@app.command("list")
def list_(json: Json = False) -> None:
    """List every table and figure with its one-line description."""
    from repro.commands import listing

    listing.show(out, as_json=json)


@app.command()
def plan(
    tables: Tables,
    profile: ProfileName = "shapes",
    seeds: Seeds = 1,
    steps: Steps = 0,
    recipe: RecipeName = "",
    runs: Runs = RUNS,
    json: Json = False,
) -> None:
    """Say which cells are missing, which share a training, and what each will cost, before anything runs."""
    from repro.commands import planning

    planning.show(out, planning.Request(tuple(tables), profile, seeds, steps, recipe, runs), as_json=json)


@app.command()
def cost(
    tables: Tables,
    json: Json = False,
    fvcore: Annotated[bool, typer.Option("--fvcore", help="count multiply-adds with fvcore, a second opinion")] = False,
    store: Annotated[bool, typer.Option("--store", help="write all counts to the file that the report reads")] = False,
) -> None:
    """Count parameters and multiply-adds of the paper's networks and compare them with the print."""
    from repro.commands import costs

    if store:
        out.print(f"{costs.store()} counts stored")
    if not costs.show(out, tuple(tables), as_json=json, fvcore=fvcore):
        raise typer.Exit(1)


@app.command()
def run(
    tables: Tables,
    profile: ProfileName = "shapes",
    seeds: Seeds = 1,
    steps: Steps = 0,
    recipe: RecipeName = "",
    only: Annotated[str, typer.Option(help="only runs whose name contains one of these, comma-separated")] = "",
    jobs: Annotated[int | None, typer.Option(help="processes side by side, each with its share of the cores")] = None,
    data_root: DataRoot = None,
    weights: Weights = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, 32 or bf16")] = "auto",
    runs: Runs = RUNS,
) -> None:
    """Train and evaluate what has no record yet, then show the tables."""
    from repro.commands import planning, running

    request = planning.Request(tuple(tables), profile, seeds, steps, recipe, runs)
    how = running.How(jobs, data_root, weights, device, precision, only)
    raise typer.Exit(running.start(out, request, how))


@app.command()
def status(
    tables: Annotated[list[str] | None, typer.Argument(help="table2, 1,3-5 or all", show_default=False)] = None,
    profile: ProfileName = "shapes",
    seeds: Seeds = 1,
    runs: Runs = RUNS,
    json: Json = False,
) -> None:
    """Say what has been run, what is unfinished and what was passed over."""
    from repro.commands import planning

    planning.status(out, planning.Request(tuple(tables or ["all"]), profile, seeds, 0, "", runs), as_json=json)


@app.command()
def retract(
    name: Annotated[str, typer.Argument(help="folder name of the record")],
    why: Annotated[str, typer.Option(help="the reason, kept beside the record")],
    runs: Runs = RUNS,
) -> None:
    """Withdraw a wrong record by a file beside it that says why."""
    from repro.commands import planning

    planning.retract(out, name, why, runs)


@app.command()
def claims(
    profile: ProfileName = "shapes",
    local: Annotated[bool, typer.Option("--local", help="judge by runs/local, not by runs/reference")] = False,
    runs: Runs = RUNS,
    json: Json = False,
) -> None:
    """Say which sentences of the paper hold, fail or stay undecided on the records."""
    from repro.commands import claiming

    claiming.claims(out, profile, runs, "local" if local else "reference", as_json=json)


@app.command()
def audit(json: Json = False) -> None:
    """Check the paper against itself: every disagreement found by arithmetic, every open reading."""
    from repro.commands import claiming

    claiming.check_paper(out, as_json=json)


@app.command()
def figure(
    names: Annotated[list[str], typer.Argument(help="figure2, 2, kernel_curve or all", show_default=False)],
    profile: ProfileName = "shapes",
    local: Annotated[bool, typer.Option("--local", help="the records of this machine, not the project's")] = False,
    out_folder: Annotated[Path | None, typer.Option("--out", help="folder to write to")] = None,
    data_root: DataRoot = None,
    steps: Steps = 0,
    recipe: RecipeName = "",
    runs: Runs = RUNS,
) -> None:
    """Draw figures from the built networks and the records, as PDF, PNG and JSON."""
    from repro.commands import figuring

    request = figuring.Request(tuple(names), profile, runs, out_folder, local, data_root, steps, recipe)
    raise typer.Exit(figuring.show(out, request))


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="pictures, PNG or JPEG", show_default=False)],
    key: Key,
    seed: Seed = None,
    out_folder: Annotated[Path, typer.Option("--out", help="folder to write to")] = Path("predictions"),
    runs: Runs = RUNS,
) -> None:
    """Segment pictures of your own with a trained record: label map, overlay and legend of each."""
    from repro.commands import predicting

    predicting.predict(out, images, key, seed, out_folder, runs)


@app.command()
def export(
    key: Key,
    out_file: Annotated[Path, typer.Option("--out", help="file to write, .safetensors")],
    seed: Seed = None,
    runs: Runs = RUNS,
) -> None:
    """Write the weights of a trained record as float16 safetensors."""
    from repro.commands import predicting

    predicting.export(out, key, seed, out_file, runs)


@app.command()
def vrf(
    image: Annotated[Path, typer.Argument(help="a picture, PNG or JPEG", show_default=False)],
    key: Key,
    at: Annotated[str, typer.Option(help="position x,y in pixels; the centre where it is left out")] = "",
    stride: Annotated[int, typer.Option(help="distance of neighbouring occluders")] = 3,
    occluder: Annotated[int, typer.Option(help="side of the occluder, odd")] = 11,
    threshold: Annotated[float, typer.Option(help="share of the largest change that counts")] = 0.2,
    seed: Seed = None,
    out_folder: Annotated[Path, typer.Option("--out", help="folder to write to")] = Path("fields"),
    runs: Runs = RUNS,
) -> None:
    """Measure the valid receptive field of one position of a picture (Figure 3)."""
    from repro.commands import viewing

    viewing.show(out, viewing.Request(image, key, at, stride, occluder, threshold, seed, out_folder, runs))


data = typer.Typer(help="Data sets: list, check, fetch.", no_args_is_help=True)
app.add_typer(data, name="data")
Name = Annotated[str, typer.Argument(help="name of a data set, see repro data list", show_default=False)]


@data.command("list")
def data_list(json: Json = False) -> None:
    """List the data sets, their splits and how many images each should have."""
    from repro.commands import datasets

    datasets.list_(out, as_json=json)


@data.command("check")
def data_check(name: Name, data_root: DataRoot = None, json: Json = False) -> None:
    """Count a data set against the paper and verify that every image has its mask."""
    from repro.commands import datasets

    datasets.check(out, name, data_root, as_json=json)


@data.command("fetch")
def data_fetch(name: Name, data_root: Annotated[Path, typer.Option("--data-root", help="where to put it")]) -> None:
    """Download what may be downloaded, with checksums; an interrupted download goes on."""
    from repro.commands import datasets

    datasets.fetch(out, name, data_root)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def report(context: typer.Context) -> None:
    """Render tables and the claims board from the records (the same as python -m repro.report)."""
    from repro import report as module

    raise typer.Exit(module.main(list(context.args)))


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 2."""
    try:
        app(standalone_mode=True)
    except ValueError as error:
        if not is_ours(error):
            raise
        err.print(f"repro: {error}", style="red", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        err.print("repro: stopped; what was finished is kept", style="yellow")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


if __name__ == "__main__":
    main()
