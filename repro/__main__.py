"""`python -m repro`: the same as the `repro` command."""

from __future__ import annotations

import sys

from repro.config import console


def main() -> None:
    """Run the command line; Ctrl-C is handled before anything heavy is imported."""
    console.begin()
    try:
        from repro.cli.app import main as run
    except ModuleNotFoundError as error:
        if error.name not in {"click", "rich"}:
            raise
        from repro.runner.bundle import packages

        sys.stderr.write(f"repro: {packages.sentence(packages.missing())}\n")
        sys.exit(2)
    run()


if __name__ == "__main__":
    main()
