"""Tables, the audit and a whole document as LaTeX (booktabs); text of a record is never a command."""

from __future__ import annotations

import unicodedata
from functools import cache

import pandas as pd
from jinja2 import Environment

from repro.paper.audit.finding import Audit
from repro.report import text as words
from repro.report.page import Page
from repro.report.rows import layout, texts
from repro.report.table_view import TableView
from repro.report.templating import environment

LONG = 28
"""Characters from which a column is set in paragraphs."""
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textquoteleft{}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "±": r"$\pm$",
    "−": "$-$",  # noqa: RUF001 - the minus sign of ``formatting``
    "–": "--",  # noqa: RUF001 - the dash of ``formatting``
    "·": r"$\cdot$",
    "×": r"$\times$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "“": "``",
    "”": "''",
}


def escape(text: str) -> str:
    """Return text that LaTeX sets as it is, on one line; a letter that plain fonts lack becomes its base or ``?``."""
    return "".join(_letter(letter) for letter in " ".join(text.split()))


def _letter(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if " " <= letter <= "~":
        return letter
    base = [part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part)]
    return "".join(_SPECIAL.get(part, part if " " <= part <= "~" else "?") for part in base)


@cache
def _environment() -> Environment:
    marks = ("block", "<%", "%>"), ("variable", "<<", ">>"), ("comment", "<#", "#>")
    syntax = {
        f"{name}_{side}_string": mark
        for name, *both in marks
        for side, mark in zip(("start", "end"), both, strict=True)
    }
    return environment(escape, **syntax)


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(**values)


def render(view: TableView) -> str:
    """Return one table as a float: its caption starts with the profile, its claims and provenance stand below."""
    grid = layout(view, stacked=True)
    notes = [*view.notes, *(words.origin(found) for found in view.provenance)]
    notes += [f"counts: {view.counted}"] if view.counted else []
    notes += [f"problem: {problem}" for problem in view.problems]
    label = f"{view.own or view.number}-{''.join(filter(str.isalnum, view.profile))}"
    tall = "what" not in grid.columns.get_level_values("kind")
    shown = grid if tall else grid.drop(columns="verdict", level="kind")  # verdicts stand across the columns
    columns, lines = _columns(shown), list(texts(grid))
    return _render(
        "table.tex.j2", view=view, columns=columns, lines=lines, tall=tall, about=_about(view), label=label, notes=notes
    )


def _about(view: TableView) -> str:
    if not view.scored:
        return ""
    said = words.unit(view).removeprefix("; ").capitalize()
    if view.comparable:
        return f"{said}." if said else ""
    apart = "they stand for trends only, never beside the paper's in absolute terms"
    return f"{said}; {apart}." if said else f"{apart.capitalize()}."


def _columns(grid: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Return the kind and name of each column, and its share of the width where its long text needs paragraphs."""
    long = (grid.map(len).max() > LONG) & (grid.columns.get_level_values("kind") == "number")
    share = f"{0.62 / max(1, long.sum()):.2f}"
    return [(kind, name, share if wide else "") for (kind, name), wide in long.items()]


def render_document(page: Page) -> str:
    """Return the document of one profile; it inputs ``tableN.tex`` and ``audit.tex``, which lie beside it."""
    return _render("document.tex.j2", page=page)


def as_latex(audit: Audit) -> str:
    r"""Return two long tables behind ``\input``: the findings, and the interpretations of open questions."""
    return _render("audit.tex.j2", audit=audit)
