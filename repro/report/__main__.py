"""`python -m repro.report`: render tables and claims from the records."""

import sys

from repro.report.build import main

if __name__ == "__main__":
    sys.exit(main())
