"""`python -m repro`: the same as the `repro` command."""

from __future__ import annotations

import sys

try:
    from repro.cli.app import main
except ModuleNotFoundError as error:
    if error.name not in {"click", "rich"}:
        raise
    from repro.runner.bundle import packages

    sys.stderr.write(f"repro: {packages.sentence(packages.missing())}\n")
    sys.exit(2)

if __name__ == "__main__":
    main()
