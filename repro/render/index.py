"""The index of rendered tables: claims board, coverage, the words and how intervals are made, problems."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from repro import verdicts
from repro.findings import Audit
from repro.render import remaining, words
from repro.render.markdown import claims, escape, problems, row
from repro.render.page import Page
from repro.render.words import counted
from repro.views import Picture, Remaining, TableView

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


def render(page: Page) -> str:
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
    lines = [[f"[{name}]({name}.md)" if "," not in name else name, *rest] for name, *rest in remaining.lacking(mine)]
    table = "\n".join(map(row, [list(remaining.LACKING), ["---", "---:", "---:", "---"], *lines])) if lines else ""
    said = "\n\n".join(escape(remaining.whole(other)) for other in others)
    parts = [
        '<a name="lacking"></a>',
        "## What was not run, and what it would cost",
        remaining.aimed(mine),
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
