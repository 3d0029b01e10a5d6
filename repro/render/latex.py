r"""Tables as LaTeX (booktabs): each file stands alone behind ``\input``; nothing from a record is ever a command."""

from __future__ import annotations

import unicodedata

from repro.render import words
from repro.render.grid import Grid, Line, layout
from repro.views import ClaimView, TableView

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
    if view.profile == "paper":
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
