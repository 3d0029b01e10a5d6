"""The `repro` command: the commands by their headings, each imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module

import click

from repro import __version__
from repro.cli.options import err
from repro.config import console
from repro.config.errors import SpecError, is_ours, lacking, near
from repro.training import process_group

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
SECTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Ask": {
        "list": ("list:list_", "every table and figure, a line each"),
        "plan": ("plan:plan", "missing runs, shared trainings, expected cost"),
        "status": ("status:status", "finished and unfinished runs"),
        "cost": ("cost:cost", "parameters and multiply-adds beside the reported ones"),
        "claims": ("claims:claims", "which sentences of the paper hold, fail or stay undecided"),
        "audit": ("claims:audit", "the paper against itself"),
    },
    "Measure and draw": {
        "run": ("run:run", "train and evaluate the cells without a record"),
        "figure": ("figure:figure", "draw a figure from the networks and the records"),
        "report": ("repro.report.build:command", "render tables and the claims board from the records"),
        "vrf-area": ("receptive_field:vrf_area", "how large the valid receptive fields are, against k"),
        "verify": ("verify:verify", "make records anew and say whether they come out the same"),
        "retract": ("status:retract", "withdraw a wrong record, with the reason"),
    },
    "Use a trained network": {
        "predict": ("predict:predict", "segment pictures of your own"),
        "vrf": ("receptive_field:vrf", "the valid receptive field of one position of a picture"),
        "export": ("predict:export", "write the weights as safetensors"),
        "crf-grid": ("crf_grid:crf_grid", "try dense CRF parameters, best first"),
    },
    "Data, test servers, other machines": {
        "cache": ("cache:cache", "decoded data sets on this disk: list, clear"),
        "data": ("data:data", "data sets: list, check, fetch, measure boundaries"),
        "submit": ("submit:submit", "write the archive that a test server takes, checked"),
        "score": ("submit:score", "enter the answer of a test server"),
        "bundle": ("bundle:bundle", "a short slot on a machine without network: make, run, merge"),
    },
}
"""Headings of `repro --help`: of each command its module (here, or a whole path) and function, and its line. A module
is imported when its command is called, so that the help needs none of them."""


class Sections(click.Group):
    """A group whose help names its commands under headings."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands as the headings order them."""
        return [name for commands in SECTIONS.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command; None where there is none of this name."""
        for commands in SECTIONS.values():
            if cmd_name in commands:
                module, _, function = commands[cmd_name][0].partition(":")
                path = module if "." in module else f"{__package__}.{module}"
                command: click.Command = getattr(import_module(path), function)
                return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named; of a table, a figure or a near miss, name the command in the error."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            from repro.figures import figure_docs
            from repro.paper.tables import table_docs

            kind = "run" if name in table_docs() else "figure" if name in figure_docs() else ""
            more = f"; did you mean repro {kind} {name}?" if kind else near(name, self.list_commands(ctx))
            ctx.fail(f"No such command {name!r}{more}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with its line below its heading."""
        width = max(map(len, self.list_commands(ctx)))
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(f"{name:{width}}", line) for name, (_, line) in commands.items()])


@click.group(cls=Sections, context_settings=HELP)
@click.version_option(__version__, message="%(version)s")
def app() -> None:
    """Reproduce, cell by cell, the tables and figures of the Global Convolutional Network paper."""


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 2."""
    console.run(lambda: _run)


def _run() -> None:
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
    except click.Abort as error:
        raise KeyboardInterrupt from error
    except ModuleNotFoundError as error:
        if not lacking(error):
            raise
        _refuse(lacking(error))


def _said(error: click.UsageError) -> str:
    """Return the error; a number below zero is parsed as an option, and no argument is one."""
    if isinstance(error, click.NoSuchOption) and error.option_name[1:2].isdigit():
        return f"{error.option_name!r}: no argument of this command may be below zero"
    return error.format_message().rstrip(".")


def _refuse(sentence: str) -> None:
    try:
        leads = process_group.read().leads
    except SpecError:
        leads = True
    if leads:  # of many processes, one speaks
        err.print(f"repro: {' '.join(sentence.split())}", style="red", soft_wrap=True, markup=False)
    sys.exit(2)
