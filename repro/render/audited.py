"""The audit as a Markdown page and as LaTeX tables; it is the same in every profile, since no record enters it."""

from __future__ import annotations

from collections.abc import Iterator

from repro.findings import Audit, Finding, Reading
from repro.render import latex, markdown, words
from repro.verdicts import FINDINGS

PACKAGES = ("booktabs", "array", "longtable")
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
            yield markdown.escape(meaning[0].upper() + meaning[1:]) + "."
            rows = [["Where", "The paper says", "What follows", "Name"], ["---"] * 4, *map(_finding, found)]
            yield "\n".join(map(markdown.row, rows))


def _finding(finding: Finding) -> list[str]:
    detail = f"<br>*{markdown.escape(finding.detail)}*" if finding.detail else ""
    texts = ("; ".join(finding.places), finding.says, finding.computed, finding.name)
    where, says, computed, name = map(markdown.escape, texts)
    return [where, says, computed + detail, name]


def _readings(readings: tuple[Reading, ...]) -> Iterator[str]:
    if not readings:
        return
    yield "## Open questions: which printed numbers each reading reproduces and breaks"
    yield LEGEND
    rows = [["Question", "Reading", "Reproduced", "Reproduces", "Breaks"], ["---", "---", "---:", "---", "---"]]
    for reading, first in _by_question(readings):
        option = markdown.escape(reading.option)
        rows.append(
            [
                f"**{markdown.escape(reading.question)}**" if first else "",
                f"**{option}** (taken)" if reading.taken else option,
                words.reproduced(reading),
                markdown.escape(words.checks(reading.reproduces)),
                markdown.escape(words.checks(reading.breaks)),
            ]
        )
    yield "\n".join(map(markdown.row, rows))


def _by_question(readings: tuple[Reading, ...]) -> Iterator[tuple[Reading, bool]]:
    """Yield each reading and whether it is the first of its question."""
    before = ""
    for reading in readings:
        yield reading, reading.question != before
        before = reading.question


def as_latex(audit: Audit) -> str:
    r"""Return two long tables behind ``\input``: the findings, and the readings."""
    return "\n".join([f"% The audit. Needs \\usepackage{{{','.join(PACKAGES)}}}.", *_tex(audit)]) + "\n"


def _tex(audit: Audit) -> Iterator[str]:
    yield r"\begingroup\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\LTcapwidth}{\linewidth}"
    caption = f"The paper against itself. {latex.escape(words.audited(audit))} {latex.escape(SOURCE)}"
    head = "where & the paper says & what follows"
    yield from _long("audit-findings", caption, (0.17, 0.28, 0.48), head, _tex_findings(audit))
    if audit.readings:
        caption = f"Readings of what the paper leaves open. {latex.escape(LEGEND)}"
        head = "question & reading & reproduces & breaks"
        yield from _long("audit-readings", caption, (0.15, 0.15, 0.31, 0.31), head, _tex_readings(audit.readings))
    yield r"\endgroup"


def _long(label: str, caption: str, shares: tuple[float, ...], head: str, rows: Iterator[str]) -> Iterator[str]:
    columns = "".join(f">{{\\raggedright\\arraybackslash}}p{{{share:.2f}\\linewidth}}" for share in shares)
    yield f"\\begin{{longtable}}{{@{{}}{columns}@{{}}}}"
    yield f"\\caption{{{caption}}}\\label{{tab:repro-{label}}}\\\\"
    yield rf"\toprule {head} \\ \midrule \endfirsthead"
    yield rf"\toprule {head} \\ \midrule \endhead \bottomrule \endfoot"
    yield from rows
    yield r"\end{longtable}"


def _tex_findings(audit: Audit) -> Iterator[str]:
    for verdict, meaning in FINDINGS.items():
        found = [finding for finding in audit.findings if finding.verdict == verdict]
        if found:
            title = rf"\raggedright \textbf{{{verdict}}} ({len(found)}): {latex.escape(meaning)}"
            yield rf"\addlinespace \multicolumn{{3}}{{@{{}}p{{\linewidth}}@{{}}}}{{{title}}} \\* \addlinespace[2pt]"
        for finding in found:
            detail = rf" \textit{{{latex.escape(finding.detail)}}}" if finding.detail else ""
            where, says, computed = map(latex.escape, ("; ".join(finding.places), finding.says, finding.computed))
            yield f"{where} & {says} & {computed}{'.' if detail else ''}{detail} \\\\ \\addlinespace[2pt]"


def _tex_readings(readings: tuple[Reading, ...]) -> Iterator[str]:
    for reading, first in _by_question(readings):
        option = latex.escape(reading.option)
        option = rf"\textbf{{{option}}} (taken)" if reading.taken else option
        question = latex.escape(reading.question) if first else ""
        tally = words.reproduced(reading)
        kept, broken = latex.escape(words.checks(reading.reproduces)), latex.escape(words.checks(reading.breaks))
        space = r"\addlinespace " if first else ""
        yield f"{space}{question} & {option} & {tally}{': ' if kept else ''}{kept} & {broken} \\\\"
