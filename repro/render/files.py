"""The files of a page in every format, and how they are written or found stale."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from repro.atomic import atomic_write
from repro.render import audited, csv, document, index, json, latex, markdown
from repro.render.page import Page
from repro.views import TableView

FORMATS = ("md", "tex", "csv", "json", "html")
RENDER: Mapping[str, Callable[[TableView], str]] = {"md": markdown.render, "tex": latex.render, "csv": csv.render}
"""Formats that have a file for each table."""


class ReportError(ValueError):
    """A report that cannot be made or written, in one sentence."""


def texts(page: Page, formats: Sequence[str]) -> dict[str, str]:
    """Return each output file's text by its name."""
    found: dict[str, str] = {}
    for form in RENDER:
        if form in formats:
            found |= {f"{view.name}.{form}": RENDER[form](view) for view in page.views}
    if "md" in formats:
        found["audit.md"] = audited.as_markdown(page.audit)
        found["README.md"] = index.render(page)
    if "tex" in formats:
        found["audit.tex"] = audited.as_latex(page.audit)
        found["document.tex"] = document.render(page)
    if "json" in formats:
        found["report.json"] = json.render(
            page.views,
            problems=page.faults,
            records_of_no_table=page.others,
            not_run=page.lacks,
            audit=page.audit,
        )
    if "html" in formats:
        from repro.render import html

        found["report.html"] = html.render(page)
    return found


def write(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write files that are missing or differ; raise ``ReportError`` where the folder refuses."""
    stale = list(differing(folder, texts))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in stale:
            atomic_write(folder / name, texts[name])
    except OSError as error:
        msg = f"{folder}: the report cannot be written ({error.strerror or error}); choose another folder with --out"
        raise ReportError(msg) from error
    return [folder / name for name in stale]


def differing(folder: Path, texts: Mapping[str, str]) -> Iterable[str]:
    """Yield the names of files that are missing or hold something else."""
    for name, text in texts.items():
        try:
            same = (folder / name).read_bytes() == text.encode()
        except OSError:
            same = False
        if not same:
            yield name
