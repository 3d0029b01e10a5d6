"""Render tables and claims from records: ``python -m repro.report``; needs no torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from repro.config.console import clean
from repro.config.errors import ReportError, near
from repro.config.io import atomic_write
from repro.config.profiles import DEFAULT, PROFILES, Profile, get
from repro.figures import all_figures
from repro.paper.tables import all_tables, paper_tables, table_docs
from repro.report import dataframe, latex, markdown
from repro.report.latex import as_latex
from repro.report.page import Page, build, read
from repro.report.table_view import Picture, Remaining, TableView
from repro.results.counts import load_counts
from repro.results.records import RecordStore

FORMATS = ("md", "tex", "csv", "json", "html")
RENDER: Mapping[str, Callable[[TableView], str]] = {
    "md": markdown.render,
    "tex": latex.render,
    "csv": dataframe.render_csv,
}
"""Formats that have a file for each table."""


def page_texts(page: Page, formats: Sequence[str]) -> dict[str, str]:
    """Return each output file's text by its name."""
    found: dict[str, str] = {}
    for form in RENDER:
        if form in formats:
            found |= {f"{view.name}.{form}": RENDER[form](view) for view in page.views}
    if "md" in formats:
        found["audit.md"] = markdown.as_markdown(page.audit)
        found["README.md"] = markdown.render_index(page)
    if "tex" in formats:
        found["audit.tex"] = as_latex(page.audit)
        found["document.tex"] = latex.render_document(page)
    if "json" in formats:
        found["report.json"] = dataframe.render_json(
            page.views,
            problems=page.faults,
            records_of_no_table=page.others,
            not_run=page.lacks,
            audit=page.audit,
        )
    if "html" in formats:
        from repro.report import html

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


DEFAULT_FORMATS = ("md", "tex", "csv")
PATH = click.Path(path_type=Path)


@dataclass(frozen=True)
class Options:
    """Profile, tables, formats and folders of a report."""

    tables: tuple[str, ...]
    select: tuple[str, ...]
    profile: str | None
    format: str
    out: Path | None
    runs: Path
    figures: Path
    readme: Path | None
    local: bool
    check: bool


def _names(_ctx: click.Context, _param: click.Parameter, start: str) -> list[str]:
    return [name for name in (*table_docs(), "audit") if name.startswith(start)]


@click.command("report", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("tables", nargs=-1, metavar="[TABLE...]", shell_complete=_names)
@click.option("--select", multiple=True, metavar="TABLE", shell_complete=_names, help="the same as TABLE")
@click.option(
    "--profile", "-p", type=click.Choice(tuple(PROFILES)), help="one profile only  [default: all with records]"
)
@click.option("--format", default=",".join(DEFAULT_FORMATS), show_default=True, help="any of " + ",".join(FORMATS))
@click.option("--out", type=PATH, help="folder to write to  [default: tables, or build/tables with --local]")
@click.option("--runs", type=PATH, default=Path("runs"), show_default=True, help="folder of the records")
@click.option("--figures", type=PATH, default=Path("figures"), show_default=True, help="folder of the figures")
@click.option("--readme", type=PATH, help="page whose claims to renew  [default: README.md, without --out]")
@click.option("--local", is_flag=True, help="show runs/local beside runs/reference")
@click.option("--check", is_flag=True, help="write nothing; exit 1 and name what is stale")
def command(**words: Any) -> None:  # noqa: ANN401 - the fields of Options
    """Render tables and the claims board from the records; without --out this rewrites tables/ and README.md.

    TABLE is table2, 2, an additional table's name or audit; all where none is named.
    """
    sys.exit(_run(Options(**words)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 where ``--check`` finds stale files, 2 for bad input."""
    try:
        command(arguments, prog_name="repro report", standalone_mode=False)
    except SystemExit as ended:
        return int(ended.code or 0)
    except click.ClickException as error:
        sys.stderr.write(f"repro: {clean(error.format_message().rstrip('.'))} (see repro report --help)\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"repro: {clean(str(error))}\n")
        return 2
    return 0


def _run(options: Options) -> int:
    places = ("reference", "local") if options.local else ("reference",)
    if not options.runs.is_dir():
        msg = f"--runs {options.runs}: there is no such folder; run this beside runs/ or name the folder of the records"
        raise ReportError(msg)
    shelf = read(options.runs, local=options.local)
    counts = load_counts()
    out = options.out or Path("build/tables" if options.local else "tables")
    chosen = _chosen((*options.tables, *options.select))
    numbers = [number for number, table in all_tables().items() if table.name in chosen]
    stale: list[Path] = []
    shown: dict[Path, Page] = {}
    for profile in _profiles(options.profile, shelf):
        folder = profile.folder(out)
        page = build(profile, shelf, counts, numbers, places)
        page = shown[folder] = replace(page, pictures=_pictures(folder, profile, options.figures))
        texts = page_texts(page, _formats(options.format))
        texts = {name: text for name, text in texts.items() if not chosen or name.rpartition(".")[0] in chosen}
        stale += _put(folder, texts, check=options.check)
    if options.readme or not (options.out or options.local or options.select or options.profile):
        stale += _renew(options.readme, shown, check=options.check)
    said = "stale" if options.check else "written"
    sys.stdout.write("".join(f"{said}: {path}\n" for path in stale) or f"up to date: {out}\n")
    return int(bool(options.check and stale))


def _put(folder: Path, texts: Mapping[str, str], *, check: bool) -> list[Path]:
    """Write the files that differ, unless ``check``; return their paths."""
    return [folder / name for name in differing(folder, texts)] if check else write(folder, texts)


def _renew(page: Path | None, shown: Mapping[Path, Page], *, check: bool) -> list[Path]:
    """Renew the claims between the marks of a Markdown file: ``README.md`` by default, where it has them."""
    path = page or Path("README.md")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = ""
    folders = {one.profile: Path(os.path.relpath(at, path.parent)).as_posix() for at, one in shown.items()}
    views = {one.profile: one.views for one in shown.values()}
    first = next(iter(shown.values()))
    renewed = markdown.splice(text, markdown.block(views, first.audit, folders, _lacking(shown.values())))
    if renewed is None and page is None:
        return []
    if renewed is None:
        msg = f"--readme {page}: lacks the two marks of the claims; write {markdown.START} and {markdown.END} into it"
        raise ReportError(msg)
    return _put(path.parent, {path.name: renewed}, check=check)


def _lacking(shown: Iterable[Page]) -> tuple[Remaining, ...]:
    """Return missing runs: of each report's own profile first, then of other profiles that have no report."""
    own = {lack.profile: lack for page in shown for lack in page.lacks[:1]}
    others = {lack.profile: lack for page in shown for lack in page.lacks[1:]}
    return tuple({**own, **others, **own}.values())


def _pictures(folder: Path, profile: Profile, figures: Path) -> tuple[Picture, ...]:
    """Return the figures that were drawn for a profile, the paper's first; paths are from the report's folder."""
    own = profile.folder(figures)
    found = [(figure, own / f"{figure.name}.pdf") for figure in all_figures().values()]
    return tuple(
        Picture(
            figure.name,
            figure.title,
            figure.number,
            Path(os.path.relpath(path, folder)).as_posix(),
            _bytes(path.with_suffix(".png")),
        )
        for figure, path in found
        if path.exists()
    )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _profiles(name: str | None, shelf: RecordStore) -> list[Profile]:
    """Return the profile asked for; by default the first one and every other that has records."""
    if name:
        return [get(name)]
    seen = {str(record.meta.get("profile")) for record in shelf.records} | {DEFAULT}
    return [profile for known, profile in PROFILES.items() if known in seen]


def _chosen(names: Sequence[str]) -> set[str]:
    """Return the stems of the selected files: ``table2``, ``audit``."""
    known = {name: name for name in (*(table.name for table in all_tables().values()), "audit")}
    short = {str(number): all_tables()[number].name for number in paper_tables()}
    if unknown := [name for name in names if name not in known | short]:
        msg = f"{unknown[0]}: there is no such table; known are {', '.join(known)}{near(unknown[0], known)}"
        raise ReportError(msg)
    return {(known | short)[name] for name in names}


def _formats(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in FORMATS]:
        msg = f"--format {unknown[0]}: unknown; choose from {', '.join(FORMATS)}"
        raise ReportError(msg)
    return names
