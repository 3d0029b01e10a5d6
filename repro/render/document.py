"""A whole LaTeX document: every table, the figures that exist, the claims board and the words."""

from __future__ import annotations

from collections.abc import Sequence

from repro import verdicts
from repro.render import remaining, words
from repro.render.index import METHOD, OTHERS, WHY_OTHERS
from repro.render.latex import PACKAGES, escape
from repro.render.markdown import BOLD
from repro.render.page import Page
from repro.views import ClaimView, Picture, Remaining, TableView

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


def render(page: Page) -> str:
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
    lines += map(_claim, claims)
    return "\n".join([*lines, r"\end{longtable}", "}"])


def _claim(claim: ClaimView) -> str:
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
    lines = [" & ".join(map(escape, line)) + r" \\" for line in remaining.lacking(mine)]
    head = " & ".join(remaining.LACKING)
    table = [r"\par\medskip\noindent{\footnotesize\begin{tabular}{@{}lrrl@{}}", rf"\toprule {head} \\ \midrule", *lines]
    table += [r"\bottomrule", r"\end{tabular}}\par\medskip"]
    said = [escape(remaining.whole(other)) for other in others]
    title = r"\section*{What was not run, and what it would cost}"
    aimed = escape(remaining.aimed(mine).replace("`", ""))
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
