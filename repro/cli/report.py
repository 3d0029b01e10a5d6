"""`repro report`: the same as `python -m repro.report`."""

from __future__ import annotations

import sys

import click


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def report(*, words: tuple[str, ...]) -> None:
    """Render tables and the claims board from the records (the same as python -m repro.report)."""
    from repro.report import build as module

    sys.exit(module.main(list(words)))
