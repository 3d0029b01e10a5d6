"""A whole LaTeX document: every table, the figures that exist, the claims board and the words."""

from __future__ import annotations

from collections.abc import Sequence

from repro import verdicts
from repro.render.index import METHOD
from repro.render.latex import PACKAGES, escape
from repro.views import TableView

PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage[T1]{fontenc}
\usepackage{lmodern}
\usepackage{microtype}
\usepackage[a4paper,margin=20mm]{geometry}
\usepackage{longtable}
\usepackage{graphicx}
\usepackage{textcomp}
\usepackage{%s}
\usepackage[hidelinks]{hyperref}
\setlength{\emergencystretch}{3em}
\renewcommand{\topfraction}{0.95}
\renewcommand{\textfraction}{0.05}
\renewcommand{\floatpagefraction}{0.6}
"""


def render(views: tuple[TableView, ...], figures: Sequence[str] = ()) -> str:
    """Return the document; it inputs ``tableN.tex``, which lie beside it.

    Args:
        views: the tables of one profile.
        figures: paths of figures to include, relative to the document, in order.
    """
    profile = escape(views[0].profile) if views else ""
    parts = [
        PREAMBLE % ",".join(PACKAGES),
        f"\\title{{Reproduction of the Global Convolutional Network paper\\\\\\large profile \\texttt{{{profile}}}}}",
        r"\author{}\date{}",
        r"\begin{document}",
        r"\maketitle",
        escape(f"Profile {views[0].profile}: {views[0].about}.") if views else "",
        r"\section{Claims}",
        _board(views),
        r"\section{Tables}",
        *map(_input, views),
        r"\clearpage",
        *_figures(figures),
        r"\section{Words and method}",
        _words(),
        escape(METHOD),
        r"\end{document}",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _input(view: TableView) -> str:
    """Return the line that sets a table under its printed number, or under its own name."""
    if view.own:
        return f"{{\\renewcommand{{\\thetable}}{{{escape(view.own)}}}\\input{{{view.name}}}}}"
    return f"\\setcounter{{table}}{{{view.number - 1}}}\\input{{{view.name}}}"


def _board(views: tuple[TableView, ...]) -> str:
    lines = [
        r"{\footnotesize",
        r"\begin{longtable}{@{}r>{\raggedright\arraybackslash}p{0.66\linewidth}ll@{}}",
        r"\toprule Table & Claim & section & verdict \\ \midrule \endhead \bottomrule \endfoot",
    ]
    for claim in (claim for view in views for claim in view.claims):
        table, section = escape(str(claim.own or claim.table)), r"\raggedright " + escape(claim.where)
        lines.append(
            f"{table} & {escape(claim.says)} & \\parbox[t]{{24mm}}{{{section}}} & {escape(claim.verdict)} \\\\"
        )
    return "\n".join([*lines, r"\end{longtable}", "}"])


def _figures(paths: Sequence[str]) -> list[str]:
    if not paths:
        return []
    lines = [r"\section{Figures}"]
    for path in paths:
        name = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        graphic = f"\\includegraphics[width=\\linewidth,height=0.42\\textheight,keepaspectratio]{{{path}}}"
        lines.append(f"\\begin{{figure}}[htbp]\\centering{graphic}\\caption{{{escape(name)}}}\\end{{figure}}")
    return [*lines, r"\clearpage"]


def _words() -> str:
    lines = [r"\begin{description}\setlength{\itemsep}{0pt}"]
    for words in (verdicts.STATUSES, verdicts.CELLS, verdicts.CLAIMS):
        lines += [f"\\item[{escape(word)}] {escape(text)}" for word, text in words.items()]
    return "\n".join([*lines, r"\end{description}"])
