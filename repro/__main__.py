"""`python -m repro`: the same as the `repro` command."""

import sys

try:
    from repro.cli import main
except ModuleNotFoundError as error:
    if error.name not in {"click", "rich"}:
        raise
    from repro.bundle import packages

    sys.stderr.write(f"repro: {packages.sentence(packages.missing())}\n")
    sys.exit(2)

if __name__ == "__main__":
    main()
