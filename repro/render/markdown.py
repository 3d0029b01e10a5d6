"""Tables as Markdown that reads well on a code host."""

from __future__ import annotations

import re

from repro.render import words
from repro.render.grid import Grid, layout
from repro.views import ClaimView, TableView

_SPECIAL = re.compile(r"([\\`*_\[\]|#~])")
BOLD = frozenset({"holds", "fails", "differs", "outside", "diverged"})
WORDS = "The words are defined in the [index](README.md#words)."


def escape(text: str) -> str:
    """Return text that Markdown shows as it is: no markup, no HTML, one line."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", plain)


def render(view: TableView) -> str:
    """Return one table: profile first, then the cells, the claims, the provenance and the problems."""
    parts = [
        f"## `{view.profile}` · {view.label}: {escape(view.title)}",
        _about(view),
        _table(layout(view)),
        "\n".join(f"- {escape(note)}" for note in view.notes),
        f"Mean ± standard deviation (seeds){words.unit(view)}. {WORDS}" if view.scored else WORDS,
        claims(view.claims, view.places),
        _origins(view),
        problems(view.problems),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(view: TableView) -> str:
    section = "section " if view.where[:1].isdigit() else ""
    printed = f" Printed in {section}{escape(view.where)}." if view.where else ""
    printed = f" {words.OWN}" if view.own else printed
    apart = " Scores stand for trends only, never beside the paper's in absolute terms."
    apart = apart if view.scored and view.profile != "paper" else ""
    return f"Profile **{escape(view.profile)}**: {escape(view.about)}.{printed}{apart}"


def _table(grid: Grid) -> str:
    head = [escape(name) for name in grid.header]
    rows = [head, ["---"] + ["---:" if 0 < i < len(head) - 1 else "---" for i in range(1, len(head))]]
    if not grid.tall:
        rows[1][1] = "---"
    for line in grid.lines:
        middle = [] if grid.tall else [f"*{escape(line.what)}*"]
        label = f"**{escape(line.head)}**" if line.head else ""
        rows.append([label, *middle, *(escape(cell) for cell in line.cells), strong(line.verdict)])
    return "\n".join(row(cells) for cells in rows)


def row(cells: list[str]) -> str:
    """Return one line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def strong(verdict: str) -> str:
    """Return a verdict, in bold where it says something definite."""
    return f"**{escape(verdict)}**" if verdict in BOLD else escape(verdict)


def claims(found: tuple[ClaimView, ...], places: tuple[str, ...]) -> str:
    """Return claims as a table; the place is named where there are several."""
    if not found:
        return ""
    many = len(places) > 1
    head = [
        "Claim",
        "Section",
        *(["Records"] if many else []),
        "Verdict",
        "Shown",
        "What decides (95 % interval, points)",
    ]
    rows = [head, ["---"] * len(head)]
    rows += [_claim(claim, many=many) for claim in found]
    return "\n".join(row(cells) for cells in rows)


def said(claim: ClaimView) -> str:
    """Return what a claim says, and below it the paper's own words."""
    return escape(claim.says) + (f"<br><sub>“{escape(claim.quote)}”</sub>" if claim.quote else "")


def _claim(claim: ClaimView, *, many: bool) -> list[str]:
    denied = f" *(in print: {escape(claim.refuted_in_print)})*" if claim.refuted_in_print else ""
    place = [escape(claim.place)] if many else []
    return [
        said(claim) + denied,
        escape(claim.where),
        *place,
        strong(claim.verdict),
        words.tally(claim),
        escape(words.evidence(claim)),
    ]


def _origins(view: TableView) -> str:
    lines = [escape(words.origin(found)) for found in view.provenance]
    if view.counted:
        lines.append(f"counts: {escape(view.counted)}")
    return "<sub>" + "<br>".join(lines) + "</sub>" if lines else ""


def problems(found: tuple[str, ...]) -> str:
    """Return what is wrong with the records, one line each."""
    if not found:
        return ""
    return "**Problems**\n\n" + "\n".join(f"- {escape(problem)}" for problem in found)
