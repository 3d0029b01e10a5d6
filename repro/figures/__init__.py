"""Registry of the figures: every module of this package with a ``FIGURE``."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

from repro.config.experiment import Training
from repro.config.networks import GCN, Conv1x1, Model
from repro.paper.schema import Figure
from repro.paper.tables import first_lines, natural

_BASELINE = Training(Model(Conv1x1()))
TABLE1 = (_BASELINE, *(Training(Model(GCN(k))) for k in (3, 5, 7, 9, 11, 13, 15)))
TABLE5 = (_BASELINE, Training(Model(GCN(15))), Training(Model(GCN(15), refine=True)))


@cache
def all_figures() -> dict[str, Figure]:
    """Return all figures by name, those of the paper first."""
    found: list[Figure] = [import_module(f"{__name__}.{name}").FIGURE for name in _figure_names()]
    return {figure.name: figure for figure in sorted(found, key=lambda figure: (figure.number == 0, figure.number))}


def figure_docs() -> dict[str, str]:
    """Return the first line of each figure's docstring by module name, without importing the module."""
    return first_lines(Path(__file__).parent, _figure_names())


def _figure_names() -> list[str]:
    paths = Path(__file__).parent.glob("[a-z]*.py")
    return sorted((path.stem for path in paths if "\nFIGURE = " in path.read_text(encoding="utf-8")), key=natural)
