"""Tables, the audit, the index and the claims of the README as Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache

from jinja2 import Environment

from repro.paper.audit.finding import Audit
from repro.report import text as words
from repro.report.dataframe import coverage
from repro.report.page import Page
from repro.report.rows import layout, texts
from repro.report.table_view import Remaining, TableView
from repro.report.templating import environment
from repro.results.claims import ClaimView

_SPECIAL = re.compile(r"([\\`*_\[\]|#~])")


def escape(text: str) -> str:
    """Return text that Markdown shows as it is: no markup, no HTML, one line."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", plain)


@cache
def _environment() -> Environment:
    return environment(escape)


def _render(template: str, **values: object) -> str:
    """Render a template; parts that are empty leave no blank lines."""
    text = _environment().get_template(template).render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


def render(view: TableView) -> str:
    """Return one table: the profile first, then the cells, the claims, the provenance and the problems."""
    grid = layout(view)
    return _render("table.md.j2", view=view, columns=list(grid.columns), lines=list(texts(grid)))


def as_markdown(audit: Audit) -> str:
    """Return the audit: findings by verdict, then the numbers that each interpretation reproduces and breaks."""
    return _render("audit.md.j2", audit=audit)


def render_index(page: Page) -> str:
    """Return the index of one profile; ``audit.md`` lies beside it."""
    return _render("index.md.j2", page=page, coverage=zip(page.views, coverage(page.views).itertuples(), strict=True))


START = "<!-- claims: written by python -m repro.report, not by hand -->"
END = "<!-- end of claims -->"


def splice(page: str, block: str) -> str | None:
    """Return the page with its block replaced, or None where it lacks the two marks, once each and in order."""
    if page.count(START) != 1 or page.count(END) != 1 or page.index(START) > page.index(END):
        return None
    before, rest = page.split(START)
    return f"{before}{START}\n{block}\n{END}{rest.split(END)[1]}"


def block(
    found: Mapping[str, tuple[TableView, ...]],
    audit: Audit,
    folders: Mapping[str, str],
    lacks: tuple[Remaining, ...] = (),
) -> str:
    """Return the text between the marks: a summary a profile, the claims that were run, the audit in a sentence.

    Args:
        found: the tables by profile.
        audit: the paper against itself.
        folders: where each profile's rendered tables lie, relative to the page.
        lacks: runs without a record, by profile.
    """
    boards = {
        profile: {claim.name: claim for view in views for claim in view.claims} for profile, views in found.items()
    }
    return _render(
        "claims.md.j2",
        boards=boards,
        claims=_run_somewhere(boards),
        summaries={name: words.summary(Counter(c.verdict for c in board.values())) for name, board in boards.items()},
        lacking=[text for lack in lacks if (text := words.whole(lack))],
        folders=folders,
        first=next(iter(folders.values()), ""),
        audit=audit,
    ).rstrip("\n")


def _run_somewhere(boards: Mapping[str, Mapping[str, ClaimView]]) -> list[tuple[ClaimView, list[str]]]:
    """Return each claim that has been run in some profile, and its verdict in every profile."""
    names = dict.fromkeys(name for board in boards.values() for name in board)
    lines = []
    for name in names:
        held = [board.get(name) for board in boards.values()]
        run = [claim for claim in held if claim]
        if any(claim.verdict != "not run" for claim in run):
            lines.append((run[0], [claim.verdict if claim else "" for claim in held]))
    return lines
