"""Tables, the audit and a whole document as LaTeX (booktabs); nothing from a record is ever a command."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from repro.paper.audit.finding import Audit, Reading
from repro.report import text as words
from repro.report.markdown import BOLD, LEGEND, METHOD, OTHERS, SOURCE, WHY_OTHERS, by_question
from repro.report.page import Page
from repro.report.rows import Grid, Line, layout
from repro.report.table_view import Picture, Remaining, TableView
from repro.results import verdicts
from repro.results.claims import ClaimView
from repro.results.verdicts import FINDINGS

PACKAGES = ("booktabs", "array")
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
    "−": "$-$",  # noqa: RUF001 - the minus sign of ``words``
    "–": "--",  # noqa: RUF001 - the dash of ``words``
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


def render(view: TableView) -> str:
    """Return one table as a float: its caption starts with the profile, its claims and provenance stand below."""
    grid = layout(view, stacked=True)
    whose = "the suite's own, not in the paper" if view.own else f"Table {view.number} of the paper"
    name = f"\\texttt{{{escape(view.profile)}}}: {whose}, {escape(view.title)}"
    lines = [
        f"% {view.label}, profile {escape(view.profile)}. Needs \\usepackage{{{','.join(PACKAGES)}}}.",
        r"\begin{table}[htbp]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        f"\\caption{{{f'{name}. {_about(view)}'.strip()}}}",
        f"\\label{{tab:repro-{view.own or view.number}-{''.join(filter(str.isalnum, view.profile))}}}",
        *_table(grid),
        *_claims(view.claims, many=len(view.places) > 1),
        *_notes(view),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _about(view: TableView) -> str:
    if not view.scored:
        return ""
    said = words.unit(view).removeprefix("; ").capitalize()
    if view.comparable:
        return f"{said}." if said else ""
    apart = "they stand for trends only, never beside the paper's in absolute terms"
    return f"{said}; {apart}." if said else f"{apart.capitalize()}."


def _table(grid: Grid) -> list[str]:
    width = len(grid.header)
    return [
        f"\\begin{{tabular}}{{@{{}}{_columns(grid)}@{{}}}}",
        r"\toprule",
        " & ".join(escape(name) for name in grid.header) + r" \\",
        r"\midrule",
        *_body(grid, width),
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _columns(grid: Grid) -> str:
    """Return the column types: numbers to the right, long words in paragraphs that share the width."""
    first = 1 if grid.tall else 2
    cells = [line.cells for line in grid.lines if line.cells]
    long = [any(len(row[i]) > LONG for row in cells) for i in range(len(cells[0]))] if cells else []
    share = 0.62 / max(1, sum(long))
    types = [f">{{\\raggedright\\arraybackslash}}p{{{share:.2f}\\linewidth}}" if wide else "r" for wide in long]
    return "l" * first + "".join(types) + ("l" if grid.tall else "")


def _body(grid: Grid, width: int) -> list[str]:
    lines: list[str] = []
    for line in grid.lines:
        if line.head and lines and not grid.tall:
            lines.append(r"\addlinespace")
        lines.append(_line(line, width, tall=grid.tall))
    return lines


def _line(line: Line, width: int, *, tall: bool) -> str:
    if not line.cells:
        return f" & \\textit{{{escape(line.what)}}} & \\multicolumn{{{width - 2}}}{{l}}{{{escape(line.verdict)}}} \\\\"
    middle = [] if tall else [f"\\textit{{{escape(line.what)}}}"]
    last = [escape(line.verdict)] if tall else []
    return " & ".join([escape(line.head), *middle, *map(escape, line.cells), *last]) + r" \\"


def _claims(claims: tuple[ClaimView, ...], *, many: bool) -> list[str]:
    if not claims:
        return []
    wide = r">{\raggedright\arraybackslash}p{%s\linewidth}"
    return [
        r"\par\medskip",
        f"\\begin{{tabular}}{{@{{}}{wide % '0.42'}l{wide % '0.40'}@{{}}}}",
        r"\toprule",
        r"Claim of the paper & verdict & what decides (95\,\% interval, points) \\",
        r"\midrule",
        "\n\\addlinespace[2pt]\n".join(_claim(claim, many=many) for claim in claims),
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _claim(claim: ClaimView, *, many: bool) -> str:
    place = f" ({claim.place})" if many else ""
    says = claim.says + (f": “{claim.quote}”" if claim.quote else "") + f" [{claim.where}]"
    says += f" (in print: {claim.refuted_in_print})" if claim.refuted_in_print else ""
    return f"{escape(says)} & {escape(claim.verdict + place)} & {escape(words.evidence(claim))} \\\\"


def _notes(view: TableView) -> list[str]:
    notes = [*view.notes, *(words.origin(found) for found in view.provenance)]
    notes += [f"counts: {view.counted}"] if view.counted else []
    notes += [f"problem: {problem}" for problem in view.problems]
    if not notes:
        return []
    body = r"\\ ".join(escape(note) for note in notes)
    return [rf"\par\smallskip\begin{{minipage}}{{\linewidth}}\raggedright\scriptsize {body}\end{{minipage}}"]


PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage[T1]{fontenc}
\usepackage{lmodern}
\usepackage{microtype}
\usepackage[a4paper,margin=20mm]{geometry}
\usepackage{longtable}
\usepackage{graphicx}
\usepackage{textcomp}
\usepackage{%s}
\usepackage[hidelinks,hypertexnames=false]{hyperref}
\setlength{\emergencystretch}{3em}
\setlength{\belowcaptionskip}{4pt}
\renewcommand{\topfraction}{0.95}
\renewcommand{\textfraction}{0.05}
\renewcommand{\floatpagefraction}{0.6}
"""

AUDIT = (
    r"\section{The paper against itself}",
    r"\setcounter{table}{0}{\renewcommand{\thetable}{A\arabic{table}}\input{audit}}",
)
"""The audit's own part: a section whose tables are numbered apart."""


def render_document(page: Page) -> str:
    """Return the document of one profile; it inputs ``tableN.tex`` and ``audit.tex``, which lie beside it."""
    parts = [
        *_opening(page),
        r"\clearpage",
        r"\section{Claims}",
        _board(page.claims),
        r"\clearpage",
        r"\section{Tables}",
        *map(_input, page.views),
        r"\clearpage",
        *(AUDIT if page.audit.findings else ()),
        *_figures(page.pictures),
        r"\section{Words and method}",
        _words(),
        escape(METHOD),
        _named("Problems", page.problems),
        _named(f"{OTHERS} {WHY_OTHERS}", page.others),
        r"\end{document}",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _opening(page: Page) -> list[str]:
    """Return everything up to the first section: the title, the profile, what the tables come to, what was not run."""
    name = escape(page.profile)
    return [
        PREAMBLE % ",".join(PACKAGES),
        f"\\title{{Reproduction of the Global Convolutional Network paper\\\\\\large profile \\texttt{{{name}}}}}",
        r"\author{}\date{}",
        r"\begin{document}",
        r"\maketitle",
        escape(f"Profile {page.profile}: {page.about}.") if page.views else "",
        _items(words.glance(page.views, page.lacks)),
        _lacking(page.lacks),
    ]


def _input(view: TableView) -> str:
    """Return the line that sets a table under its printed number, or under its own name."""
    if view.own:
        return f"{{\\renewcommand{{\\thetable}}{{{escape(view.own)}}}\\input{{{view.name}}}}}"
    return f"\\setcounter{{table}}{{{view.number - 1}}}\\input{{{view.name}}}"


def _board(claims: tuple[ClaimView, ...]) -> str:
    """Return every claim on one line or two, with what decides as a number: the claims' board."""
    wide = r">{\raggedright\arraybackslash}p{%s\linewidth}"
    lines = [
        r"{\scriptsize\setlength{\tabcolsep}{3pt}\renewcommand{\arraystretch}{0.9}",
        f"\\begin{{longtable}}{{@{{}}l{wide % '0.50'}{wide % '0.13'}lr@{{}}}}",
        r"\toprule Table & Claim & section & verdict & what decides [95\,\%] \\ \midrule",
        r"\endhead \bottomrule \endfoot",
    ]
    lines += map(_board_row, claims)
    return "\n".join([*lines, r"\end{longtable}", "}"])


def _board_row(claim: ClaimView) -> str:
    found = claim.deciding
    decides = "" if found is None else words.effect(found)
    texts = (str(claim.own or claim.table), claim.says, claim.where, claim.verdict, decides)
    name, says, where, verdict, decides = map(escape, texts)
    verdict = rf"\textbf{{{verdict}}}" if claim.verdict in BOLD else verdict
    return f"{name} & {says} & {where} & {verdict} & {decides} \\\\"


def _items(texts: Sequence[str]) -> str:
    if not texts:
        return ""
    items = "\n".join(f"\\item {escape(text)}" for text in texts)
    return f"\\begin{{itemize}}\\setlength{{\\itemsep}}{{0pt}}\n{items}\n\\end{{itemize}}"


def _lacking(lacks: tuple[Remaining, ...]) -> str:
    """Return what was not run: a table of this profile, a sentence for each other."""
    if not lacks:
        return ""
    mine, *others = lacks
    lines = [" & ".join(map(escape, line)) + r" \\" for line in words.lacking(mine)]
    head = " & ".join(words.LACKING)
    table = [r"\par\medskip\noindent{\footnotesize\begin{tabular}{@{}lrrl@{}}", rf"\toprule {head} \\ \midrule", *lines]
    table += [r"\bottomrule", r"\end{tabular}}\par\medskip"]
    said = [escape(words.whole(other)) for other in others]
    title = r"\section*{What was not run, and what it would cost}"
    aimed = escape(words.aimed(mine).replace("`", ""))
    return "\n".join([title, aimed, *(table if lines else []), "\n\n".join(said)])


def _figures(pictures: Sequence[Picture]) -> list[str]:
    """Return the figures under their printed numbers, those of the suite's own under their names."""
    if not pictures:
        return []
    lines = [r"\clearpage", r"\section{Figures}"]
    for picture in pictures:
        graphic = f"\\includegraphics[width=\\linewidth,height=0.40\\textheight,keepaspectratio]{{{picture.pdf}}}"
        number = str(picture.number) if picture.number else escape(picture.name.replace("_", " "))
        name = f"\\renewcommand{{\\thefigure}}{{{number}}}"
        caption = f"\\caption{{{escape(picture.title)} ({escape(picture.label)})}}"
        lines.append(f"\\begin{{figure}}[htbp]\\centering{name}{graphic}{caption}\\end{{figure}}")
    return [*lines, r"\clearpage"]


def _words() -> str:
    lines = [r"\begin{description}\setlength{\itemsep}{0pt}"]
    for book in (verdicts.STATUSES, verdicts.CELLS, verdicts.CLAIMS, verdicts.FINDINGS):
        lines += [f"\\item[{escape(word)}] {escape(text)}" for word, text in book.items()]
    return "\n".join([*lines, r"\end{description}"])


def _named(title: str, texts: Sequence[str]) -> str:
    if not texts:
        return ""
    items = "\n".join(f"\\item {escape(text)}" for text in texts)
    return f"\\section{{{escape(title)}}}\n{{\\raggedright\\begin{{itemize}}\n{items}\n\\end{{itemize}}}}"


AUDIT_PACKAGES = ("booktabs", "array", "longtable")


def as_latex(audit: Audit) -> str:
    r"""Return two long tables behind ``\input``: the findings, and the readings."""
    return "\n".join([f"% The audit. Needs \\usepackage{{{','.join(AUDIT_PACKAGES)}}}.", *_tex(audit)]) + "\n"


def _tex(audit: Audit) -> Iterator[str]:
    yield r"\begingroup\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\LTcapwidth}{\linewidth}"
    caption = f"The paper against itself. {escape(words.audited(audit))} {escape(SOURCE)}"
    head = "where & the paper says & what follows"
    yield from _long("audit-findings", caption, (0.17, 0.28, 0.48), head, _tex_findings(audit))
    if audit.readings:
        caption = f"Readings of what the paper leaves open. {escape(LEGEND)}"
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
            title = rf"\raggedright \textbf{{{verdict}}} ({len(found)}): {escape(meaning)}"
            yield rf"\addlinespace \multicolumn{{3}}{{@{{}}p{{\linewidth}}@{{}}}}{{{title}}} \\* \addlinespace[2pt]"
        for finding in found:
            detail = rf" \textit{{{escape(finding.detail)}}}" if finding.detail else ""
            where, says, computed = map(escape, ("; ".join(finding.places), finding.says, finding.computed))
            yield f"{where} & {says} & {computed}{'.' if detail else ''}{detail} \\\\ \\addlinespace[2pt]"


def _tex_readings(readings: tuple[Reading, ...]) -> Iterator[str]:
    for reading, first in by_question(readings):
        option = escape(reading.option)
        option = rf"\textbf{{{option}}} (taken)" if reading.taken else option
        question = escape(reading.question) if first else ""
        tally = words.reproduced(reading)
        kept, broken = escape(words.checks(reading.reproduces)), escape(words.checks(reading.breaks))
        space = r"\addlinespace " if first else ""
        yield f"{space}{question} & {option} & {tally}{': ' if kept else ''}{kept} & {broken} \\\\"
