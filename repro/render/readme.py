"""The claims as they stand, as a block between two marks of a page that is otherwise written by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from repro.findings import Audit
from repro.render import remaining, words
from repro.render.markdown import escape, row, said, strong
from repro.views import ClaimView, Remaining, TableView

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
    """Return what stands between the marks: a summary a profile, the claims that were run, the audit in a sentence.

    Args:
        found: the tables by profile.
        audit: the paper against itself.
        folders: where each profile's rendered tables lie, relative to the page.
        lacks: what profiles were not run on.
    """
    boards = {
        profile: {claim.name: claim for view in views for claim in view.claims} for profile, views in found.items()
    }
    first = next(iter(folders.values()), "")
    parts = [
        "\n".join(_summary(profile, board, folders[profile]) for profile, board in boards.items()),
        _table(boards),
        _lacking(lacks),
        f"{words.audited(audit)} [All of it]({first}/audit.md).",
    ]
    return "\n\n".join(part for part in parts if part)


def _summary(profile: str, board: Mapping[str, ClaimView], folder: str) -> str:
    told = words.summary(Counter(claim.verdict for claim in board.values()))
    return f"- [`{profile}`]({folder}/README.md), {told}"


def _lacking(lacks: tuple[Remaining, ...]) -> str:
    lines = [f"- {escape(text)}" for found in lacks if (text := remaining.whole(found))]
    return "\n".join(["**Not run, and what it would cost:**", "", *lines]) if lines else ""


def _table(boards: Mapping[str, Mapping[str, ClaimView]]) -> str:
    """Return one line for each claim that has been run in some profile."""
    names = dict.fromkeys(name for board in boards.values() for name in board)
    lines = []
    for name in names:
        held = [board[name] for board in boards.values() if name in board]
        if any(claim.verdict != "not run" for claim in held):
            denied = " *(the print itself denies it)*" if held[0].refuted_in_print else ""
            verdicts = [strong(board[name].verdict) if name in board else "" for board in boards.values()]
            lines.append([said(held[0]) + denied, escape(held[0].where), *verdicts])
    if not lines:
        return ""
    head = ["What the paper says", "Section", *(f"`{profile}`" for profile in boards)]
    return "\n".join(map(row, [head, ["---"] * len(head), *lines]))
