"""The `repro` command: list, plan, cost, run, status, report and the rest, each a thin door to a module."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from repro import __version__, group, options
from repro.cli_bundle import bundle
from repro.cli_pictures import data, export, figure, predict, vrf, vrf_area
from repro.cli_servers import crf_grid, score, submit
from repro.errors import is_ours
from repro.machine import CHECKPOINT_SECONDS
from repro.options import err, out

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
SECTIONS = {
    "Ask": ("list", "plan", "status", "cost", "claims", "audit"),
    "Measure and draw": ("run", "figure", "report", "vrf-area", "verify", "retract"),
    "Use a trained network": ("predict", "vrf", "export", "crf-grid"),
    "Data, test servers, other machines": ("data", "submit", "score", "bundle"),
}
"""What `repro --help` shows under which heading, in the order of use."""


class Sections(click.Group):
    """A group whose help names its commands under headings."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands as the headings order them."""
        return [name for names in SECTIONS.values() for name in names]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with its line below its heading."""
        width = max(map(len, self.list_commands(ctx)))
        for heading, names in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [(f"{name:{width}}", self.commands[name].get_short_help_str(formatter.width)) for name in names]
                )


@click.group(cls=Sections, context_settings=HELP)
@click.version_option(__version__, message="%(version)s")
def app() -> None:
    """Reproduce, cell by cell, the tables and figures of the Global Convolutional Network paper."""


for _command in (figure, predict, export, vrf, vrf_area, crf_grid, submit, score, data, bundle):
    app.add_command(_command)


@app.command("list", short_help="every table and figure, a line each")
@options.as_json
def list_(*, as_json: bool) -> None:
    """List every table and figure with its one-line description."""
    from repro.commands import listing

    listing.show(out, as_json=as_json)


def _request(words: dict[str, Any]) -> Any:  # noqa: ANN401 - planning.Request, imported only when it is needed
    from repro.commands.planning import Request

    return Request(**{**words, "tables": tuple(words["tables"])})


@app.command(short_help="what is missing, what shares a training, what it will cost")
@options.request
@options.as_json
@click.option("--tflops", type=float, default=0.0, help="what a device sustains in training: hours follow from it")
@click.option("--launch-us", type=float, help="microseconds of a launched operation  [default: 10, assumed]")
@click.option("--device", default="auto", show_default=True, help="whose times to expect: auto, cpu or cuda")
def plan(*, as_json: bool, tflops: float, launch_us: float | None, device: str, **words: Any) -> None:  # noqa: ANN401 - the fields of planning.Request
    """Say which cells are missing, which share a training, and what each will cost, before anything runs.

    TABLE is table2, 2, 1,3-5 or all.
    """
    from repro.commands import planning

    planning.show(out, _request(words), as_json=as_json, tflops=tflops, launch_us=launch_us, device=device)


@app.command(short_help="parameters and multiply-adds beside the printed ones")
@options.tables
@options.as_json
@click.option("--fvcore", is_flag=True, help="count multiply-adds with fvcore, a second opinion")
@click.option("--store", is_flag=True, help="write all counts to the file that the report reads")
def cost(*, tables: tuple[str, ...], as_json: bool, fvcore: bool, store: bool) -> None:
    """Count parameters and multiply-adds of the paper's networks and compare them with the print."""
    from repro.commands import costs

    if store:
        out.print(f"{costs.store()} counts stored")
    if not costs.show(out, tables, as_json=as_json, fvcore=fvcore):
        sys.exit(1)


@app.command(short_help="train and evaluate what has no record yet")
@options.request
@click.option("--only", default="", help="only runs whose name contains one of these, comma-separated")
@click.option(
    "--jobs", type=options.POSITIVE, help="processes side by side, each with its share of the cores and of the GPUs"
)
@click.option(
    "--threads", type=options.POSITIVE, help="threads of torch in a process, part of a CPU's bits  [default: 1]"
)
@click.option("--time-limit", default="", help="such as 90s, 9m, 1h30m: stop there; begin no run that would not end")
@options.data_root
@options.weights
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda")
@click.option("--precision", default="auto", show_default=True, help="auto, 32 or bf16")
@click.option("--layout", default="auto", show_default=True, help="auto, channels_last or default, in memory")
@click.option("--compile", "compiled", is_flag=True, help="train through torch.compile (its gain is not measured)")
@click.option("--graph/--no-graph", default=True, show_default=True, help="capture a step on a GPU as a CUDA graph")
@click.option(
    "--checkpoint-seconds", type=float, default=CHECKPOINT_SECONDS, show_default=True, help="between two checkpoints"
)
@click.option("--launcher", default="local", show_default=True, help="local, or ray (pip install gcn-repro[ray])")
@click.option("--allow-partial", is_flag=True, help="run although splits hold fewer images than are published")
@click.option("--address", default="", help="host:port of the Ray cluster's head, or auto")
def run(
    *,
    only: str,
    jobs: int | None,
    threads: int | None,
    time_limit: str,
    data_root: Path | None,
    weights: Path | None,
    device: str,
    precision: str,
    layout: str,
    compiled: bool,
    graph: bool,
    checkpoint_seconds: float,
    launcher: str,
    allow_partial: bool,
    address: str,
    **words: Any,  # noqa: ANN401 - the fields of planning.Request
) -> None:
    """Train and evaluate what has no record yet, then show the tables.

    TABLE is table2, 2, 1,3-5 or all. Ctrl-C keeps what is finished; the same command goes on from there.
    """
    from repro.commands import running

    how = running.How(
        jobs,
        data_root,
        weights,
        device,
        precision,
        only,
        launcher,
        address,
        compile=compiled,
        layout=layout,
        allow_partial=allow_partial,
        threads=threads,
        time_limit=time_limit,
        graph=graph,
        checkpoint_seconds=checkpoint_seconds,
    )
    sys.exit(running.start(out, _request(words), how))


@app.command(short_help="what has been run, what is unfinished")
@click.argument("tables", nargs=-1, metavar="[TABLE...]")
@options.profile
@options.seeds
@click.option("--records", "listed", is_flag=True, help="list every record of the profile, withdrawn ones too")
@options.runs
@options.as_json
def status(*, tables: tuple[str, ...], listed: bool, as_json: bool, **words: Any) -> None:  # noqa: ANN401 - as above
    """Say what has been run, what is unfinished and what was passed over."""
    from repro.commands import keeping

    words |= {"tables": tables or ("all",), "steps": None, "recipe": "", "stride_in": None}
    show = keeping.listing if listed else keeping.status
    show(out, _request(words), as_json=as_json)


@app.command(short_help="make records anew and say whether they come out the same")
@options.tables
@options.profile
@options.seeds
@options.runs
@options.data_root
@options.weights
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda")
@click.option("--jobs", type=click.IntRange(1), help="processes side by side where records are trained again")
@click.option(
    "--within", type=click.FloatRange(0), default=0.1, show_default=True, help="points that count as the same result"
)
@options.as_json
def verify(
    *,
    data_root: Path | None,
    weights: Path | None,
    device: str,
    jobs: int | None,
    within: float,
    as_json: bool,
    **words: Any,  # noqa: ANN401 - the fields of planning.Request
) -> None:
    """Make records anew: from their weights where they are here, else by training again.

    TABLE is table2, 2, 1,3-5 or all, or the key or name of a record. Nothing that exists is changed. Exits with 1
    where an outcome differs.
    """
    from repro.commands import verifying

    request = _request(words | {"steps": None, "recipe": "", "stride_in": None})
    place = verifying.machine(request, data_root, weights, device)
    sys.exit(verifying.verify(out, request, place, within=within, jobs=jobs, as_json=as_json))


@app.command(short_help="withdraw a wrong record, with the reason")
@click.argument("name")
@click.option("--why", default="", help="the reason, kept beside the record")
@click.option("--undo", is_flag=True, help="restore what was withdrawn")
@click.option("--reference", is_flag=True, help="the project's record, not this machine's")
@options.runs
def retract(*, name: str, why: str, undo: bool, reference: bool, runs: Path) -> None:
    """Withdraw the wrong record (or answer) NAME by a file beside it that says why; what builds on it falls with it.

    repro status --records lists the names.
    """
    from repro.commands import keeping

    place = "reference" if reference else "local"
    if undo:
        keeping.restore(out, name, runs, place)
    else:
        keeping.retract(out, name, why, runs, place)


@app.command(short_help="which sentences of the paper hold, fail or stay undecided")
@options.profile
@click.option("--local", is_flag=True, help="judge by runs/local, not by runs/reference")
@options.runs
@options.as_json
def claims(*, profile: str, local: bool, runs: Path, as_json: bool) -> None:
    """Say which sentences of the paper hold, fail or stay undecided on the records."""
    from repro.commands import claiming

    claiming.claims(out, profile, runs, "local" if local else "reference", as_json=as_json)


@app.command(short_help="the paper against itself")
@options.as_json
def audit(*, as_json: bool) -> None:
    """Check the paper against itself: every disagreement found by arithmetic, every open reading."""
    from repro.commands import claiming

    claiming.check_paper(out, as_json=as_json)


@app.command(
    short_help="render tables and the claims board from the records",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def report(*, words: tuple[str, ...]) -> None:
    """Render tables and the claims board from the records (the same as python -m repro.report)."""
    from repro import report as module

    sys.exit(module.main(list(words)))


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 2."""
    try:
        app(prog_name="repro", standalone_mode=False)
    except click.UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # click before 8.2 prints the help itself
            click.echo(error.format_message())
            return
        where = error.ctx.command_path if error.ctx else "repro"
        _refuse(f"{_said(error)} (see {where} --help)")
    except click.ClickException as error:
        _refuse(error.format_message())
    except ValueError as error:
        if not is_ours(error):
            raise
        _refuse(str(error))
    except (KeyboardInterrupt, click.Abort):
        err.print("repro: stopped; what was finished is kept", style="yellow")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


def _said(error: click.UsageError) -> str:
    """Return what was wrong with the words; a number below zero is read as an option, and no argument is one."""
    if isinstance(error, click.NoSuchOption) and error.option_name[1:2].isdigit():
        return f"{error.option_name!r}: no argument of this command may be below zero"
    return error.format_message().rstrip(".")


def _refuse(sentence: str) -> None:
    if group.read().leads:  # of many processes, one speaks
        err.print(f"repro: {' '.join(sentence.split())}", style="red", soft_wrap=True, markup=False)
    sys.exit(2)


if __name__ == "__main__":
    main()
