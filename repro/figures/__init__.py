"""Find the figures: of the files beside this one, those that hold a ``FIGURE``."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

from repro.paper.schema import Figure
from repro.paper.tables import first_lines, natural


@cache
def all_figures() -> dict[str, Figure]:
    """Return every figure by its name, those of the paper first."""
    held: list[Figure] = [import_module(f"{__name__}.{name}").FIGURE for name in _figure_names()]
    return {figure.name: figure for figure in sorted(held, key=lambda figure: (figure.number == 0, figure.number))}


def figure_docs() -> dict[str, str]:
    """Return the first line of each figure's docstring by module name, read without importing it."""
    return first_lines(Path(__file__).parent, _figure_names())


def _figure_names() -> list[str]:
    """Return the modules of this package that hold a figure; the others help to draw."""
    paths = Path(__file__).parent.glob("[a-z]*.py")
    return sorted((path.stem for path in paths if "\nFIGURE = " in path.read_text(encoding="utf-8")), key=natural)
