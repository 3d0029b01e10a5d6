"""Tables, the audit, the index and the claims of the README as Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from repro.paper.audit.finding import Audit, Finding, Reading
from repro.report import text as words
from repro.report.page import Page
from repro.report.rows import Grid, layout
from repro.report.table_view import Picture, Remaining, TableView
from repro.report.text import counted
from repro.results import verdicts
from repro.results.claims import ClaimView
from repro.results.verdicts import FINDINGS

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
    apart = apart if view.scored and not view.comparable else ""
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


SOURCE = (
    "Computed from what the paper prints, from the suite's specs and from the cost of the networks (in closed form, or "
    "as stored from the built modules). No training and no record enters."
)
LEGEND = "In brackets: what the reading gives. The reading that the suite takes by default is marked."


def as_markdown(audit: Audit) -> str:
    """Return the page: findings by verdict, then what each reading of each open question reproduces and breaks."""
    parts = [
        "# The paper against itself",
        f"{words.audited(audit)} {SOURCE} The same in a terminal: `repro audit`.",
        *_findings(audit),
        *_readings(audit.readings),
        "The claims and tables are in the [index](README.md).",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _findings(audit: Audit) -> Iterator[str]:
    for verdict, meaning in FINDINGS.items():
        found = [finding for finding in audit.findings if finding.verdict == verdict]
        if found:
            yield f"## {verdict.capitalize()} ({len(found)})"
            yield escape(meaning[0].upper() + meaning[1:]) + "."
            rows = [["Where", "The paper says", "What follows", "Name"], ["---"] * 4, *map(_finding, found)]
            yield "\n".join(map(row, rows))


def _finding(finding: Finding) -> list[str]:
    detail = f"<br>*{escape(finding.detail)}*" if finding.detail else ""
    texts = ("; ".join(finding.places), finding.says, finding.computed, finding.name)
    where, says, computed, name = map(escape, texts)
    return [where, says, computed + detail, name]


def _readings(readings: tuple[Reading, ...]) -> Iterator[str]:
    if not readings:
        return
    yield "## Open questions: which printed numbers each reading reproduces and breaks"
    yield LEGEND
    rows = [["Question", "Reading", "Reproduced", "Reproduces", "Breaks"], ["---", "---", "---:", "---", "---"]]
    for reading, first in by_question(readings):
        option = escape(reading.option)
        rows.append(
            [
                f"**{escape(reading.question)}**" if first else "",
                f"**{option}** (taken)" if reading.taken else option,
                words.reproduced(reading),
                escape(words.checks(reading.reproduces)),
                escape(words.checks(reading.breaks)),
            ]
        )
    yield "\n".join(map(row, rows))


def by_question(readings: tuple[Reading, ...]) -> Iterator[tuple[Reading, bool]]:
    """Yield each reading and whether it is the first of its question."""
    before = ""
    for reading in readings:
        yield reading, reading.question != before
        before = reading.question


METHOD = (
    "A comparison is a weighted sum of cells, computed by seed and from the stored counts of every image. Its "
    "95 % interval adds two errors: the mean over seeds moves by Student's t of their spread, and the images "
    "by the bootstrap (2,000 resamples by numpy's multinomial, the same for all cells; the tests hold it "
    "against scipy's). All cells share seeds and images unless a note says otherwise. A claim "
    "that makes several comparisons holds when each is shown at 95 %: all must be, so no correction is due. It "
    "fails when one is refuted, and for that each interval is widened by the number of comparisons "
    "(Bonferroni). Claims are not corrected against one another. With one seed the interval is over images "
    "only, and no verdict is given. Sums of counts are exact."
)

OTHERS = "Records that no table shows"
WHY_OTHERS = "(another length or recipe, a figure's own, or a spec that is no more)"


def render_index(page: Page) -> str:
    """Return the index page of one profile; the audit's own, ``audit.md``, lies beside it."""
    parts = [
        f"# `{page.profile}` · Tables and claims" if page.views else "# No tables",
        f"Profile **{escape(page.profile)}**: {escape(page.about)}." if page.views else "",
        "\n".join(f"- {escape(text)}" for text in words.glance(page.views, page.lacks)),
        _contents(page),
        '<a name="claims"></a>\n\n## Claims',
        claims(page.claims, page.places),
        '<a name="tables"></a>\n\n## Tables',
        _coverage(page.views),
        _figures(page.pictures),
        _lacking(page.lacks),
        _audited(page.audit),
        '<a name="words"></a>\n\n## Words',
        _words(),
        METHOD,
        _others(page.others),
        problems(page.problems),
        "Rendered by `python -m repro.report` from records and specs; `--check` tells whether it is stale.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _contents(page: Page) -> str:
    links = ["[claims](#claims)", "[tables](#tables)"]
    links += ["[figures](#figures)"] if page.pictures else []
    links += ["[what was not run, and what it would cost](#lacking)"] if page.lacks else []
    links += ["[the paper against itself](audit.md)"] if page.audit.findings else []
    return "Below: " + ", ".join([*links, "[words and method](#words)"]) + "."


def _audited(audit: Audit) -> str:
    if not audit.findings:
        return ""
    return f"## The paper against itself\n\n{words.audited(audit)} All of it: [audit.md](audit.md)."


def _lacking(lacks: tuple[Remaining, ...]) -> str:
    """Return what was not run in this profile by table, and in others in one sentence each."""
    if not lacks:
        return ""
    mine, *others = lacks
    lines = [[f"[{name}]({name}.md)" if "," not in name else name, *rest] for name, *rest in words.lacking(mine)]
    table = "\n".join(map(row, [list(words.LACKING), ["---", "---:", "---:", "---"], *lines])) if lines else ""
    said = "\n\n".join(escape(words.whole(other)) for other in others)
    parts = [
        '<a name="lacking"></a>',
        "## What was not run, and what it would cost",
        words.aimed(mine),
        table,
        said,
    ]
    return "\n\n".join(part for part in parts if part)


def _coverage(views: tuple[TableView, ...]) -> str:
    rows = [["Table", "Cells", "Filled", "Verdicts"], ["---", "---:", "---:", "---"]]
    for view in views:
        cells = [cell for cell in view.cells() if cell.kind != "empty"]
        best = [cell.outcomes[0] for cell in cells]
        filled = sum(outcome.status in {"measured", "computed", "cited"} for outcome in best)
        words = Counter(outcome.verdict or outcome.status for outcome in best)
        link = f"[{view.own or view.number}: {escape(view.title)}]({view.name}.md)"
        rows.append(
            [link, str(len(cells)), str(filled), ", ".join(escape(counted(n, word)) for word, n in words.items())]
        )
    return "\n".join(row(cells) for cells in rows)


def _figures(pictures: tuple[Picture, ...]) -> str:
    """Return a line for each figure that was drawn, with its picture behind it."""
    if not pictures:
        return ""
    lines = [
        f"- [{_name(one)}]({Path(one.pdf).with_suffix('.png').as_posix()}): {escape(one.title)}" for one in pictures
    ]
    return '<a name="figures"></a>\n\n## Figures\n\n' + "\n".join(lines)


def _name(picture: Picture) -> str:
    return f"Figure {picture.number}" if picture.number else f"{picture.name.replace('_', ' ')}, the suite's own"


def _words() -> str:
    lines = []
    for name, book in (("Cell", verdicts.STATUSES), ("Verdict", verdicts.CELLS), ("Claim", verdicts.CLAIMS)):
        rows = [[name, "means"], ["---", "---"], *([f"**{word}**", escape(text)] for word, text in book.items())]
        lines.append("\n".join(row(cells) for cells in rows))
    return "\n\n".join(lines)


def _others(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    return f"**{OTHERS}** {WHY_OTHERS}:\n\n" + "\n".join(f"- {escape(name)}" for name in names)


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
        _readme_claims(boards),
        _readme_lacking(lacks),
        f"{words.audited(audit)} [All of it]({first}/audit.md).",
    ]
    return "\n\n".join(part for part in parts if part)


def _summary(profile: str, board: Mapping[str, ClaimView], folder: str) -> str:
    told = words.summary(Counter(claim.verdict for claim in board.values()))
    return f"- [`{profile}`]({folder}/README.md), {told}"


def _readme_lacking(lacks: tuple[Remaining, ...]) -> str:
    lines = [f"- {escape(text)}" for found in lacks if (text := words.whole(found))]
    return "\n".join(["**Not run, and what it would cost:**", "", *lines]) if lines else ""


def _readme_claims(boards: Mapping[str, Mapping[str, ClaimView]]) -> str:
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
