"""A whole LaTeX document: every table, the figures that exist, the claims board and the words."""

from __future__ import annotations

from collections.abc import Sequence

from repro import verdicts
from repro.findings import Audit
from repro.render import remaining, words
from repro.render.index import METHOD, OTHERS, WHY_OTHERS, all_problems
from repro.render.latex import PACKAGES, escape
from repro.render.markdown import BOLD
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
\renewcommand{\topfraction}{0.95}
\renewcommand{\textfraction}{0.05}
\renewcommand{\floatpagefraction}{0.6}
"""


def render(
    views: tuple[TableView, ...],
    figures: Sequence[Picture] = (),
    faults: tuple[str, ...] = (),
    others: tuple[str, ...] = (),
    audit: Audit | None = None,
    lacks: tuple[Remaining, ...] = (),
) -> str:
    """Return the document; it inputs ``tableN.tex`` and ``audit.tex``, which lie beside it.

    Args:
        views: the tables of one profile.
        figures: figures to include, in order.
        faults: records that cannot be used at all, one sentence each.
        others: records that no table shows, by name.
        audit: the paper against itself.
        lacks: what this profile was not run on, then what others were not.
    """
    profile = escape(views[0].profile) if views else ""
    parts = [
        PREAMBLE % ",".join(PACKAGES),
        f"\\title{{Reproduction of the Global Convolutional Network paper\\\\\\large profile \\texttt{{{profile}}}}}",
        r"\author{}\date{}",
        r"\begin{document}",
        r"\maketitle",
        escape(f"Profile {views[0].profile}: {views[0].about}.") if views else "",
        _items(words.glance(views, lacks)),
        _lacking(lacks),
        r"\clearpage",
        r"\section{Claims}",
        _board(views),
        r"\clearpage",
        r"\section{Tables}",
        *map(_input, views),
        r"\clearpage",
        r"\section{The paper against itself}" if audit else "",
        r"\setcounter{table}{0}{\renewcommand{\thetable}{A\arabic{table}}\input{audit}}" if audit else "",
        *_figures(figures),
        r"\section{Words and method}",
        _words(),
        escape(METHOD),
        _named("Problems", all_problems(views, faults)),
        _named(f"{OTHERS} {WHY_OTHERS}", others),
        r"\end{document}",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _input(view: TableView) -> str:
    """Return the line that sets a table under its printed number, or under its own name."""
    if view.own:
        return f"{{\\renewcommand{{\\thetable}}{{{escape(view.own)}}}\\input{{{view.name}}}}}"
    return f"\\setcounter{{table}}{{{view.number - 1}}}\\input{{{view.name}}}"


def _board(views: tuple[TableView, ...]) -> str:
    """Return every claim on one line or two, with what decides as a number: the claims' board."""
    wide = r">{\raggedright\arraybackslash}p{%s\linewidth}"
    lines = [
        r"{\scriptsize\setlength{\tabcolsep}{3pt}\renewcommand{\arraystretch}{0.9}",
        f"\\begin{{longtable}}{{@{{}}l{wide % '0.50'}{wide % '0.13'}lr@{{}}}}",
        r"\toprule Table & Claim & section & verdict & what decides [95\,\%] \\ \midrule",
        r"\endhead \bottomrule \endfoot",
    ]
    lines += [_claim(claim) for view in views for claim in view.claims]
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
    table = [r"\par\medskip\noindent{\small\begin{tabular}{@{}lrrl@{}}", rf"\toprule {head} \\ \midrule", *lines]
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
        number = str(picture.number) if picture.number else escape(picture.name)
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
