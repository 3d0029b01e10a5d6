"""Render tables and the claims board from records: ``python -m repro.report``. It reads no clock and needs no torch."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from repro import audit, specs
from repro.compare import compare
from repro.counts import Counts, load_counts
from repro.experiment import Run
from repro.findings import Audit
from repro.measured import Evidence
from repro.profiles import PROFILES, Profile, get
from repro.records import Record, Shelf, load
from repro.remaining import remaining
from repro.render import audited, csv, document, index, json, latex, markdown, readme
from repro.render.page import Page
from repro.spec import Score, Submitted, Table
from repro.views import Picture, Remaining, TableView

FORMATS = ("md", "tex", "csv", "json", "html")
DEFAULT_FORMATS = ("md", "tex", "csv")
DEFAULT_PROFILE = "shapes"
FULL_SCALE = "paper"
"""The profile whose cost every report tells, run or not."""


class ReportError(ValueError):
    """A report that cannot be made or written, in one sentence."""


PARTS = (slice(1), slice(1, None))
"""Of what was not run: the report's own profile, and the others."""


@dataclass(frozen=True)
class Report:
    """Every selected table of one profile, and what concerns no single one."""

    profile: Profile
    views: tuple[TableView, ...]
    faults: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    audit: Audit = field(default_factory=Audit)
    lacks: tuple[Remaining, ...] = ()
    """What was not run: in this profile, then at full scale (one seed)."""


def read(runs: Path, *, local: bool = False) -> Shelf:
    """Load the reference records, and the local ones where asked for."""
    roots = {"reference": runs / "reference", **({"local": runs / "local"} if local else {})}
    return load(roots)


def build(
    profile: Profile,
    shelf: Shelf,
    counts: Counts,
    select: Sequence[int] = (),
    places: tuple[str, ...] = ("reference",),
) -> Report:
    """Compare the selected tables (all by default) of one profile with its records."""
    tables, evidence = specs.tables(), Evidence(shelf)
    views = tuple(compare(tables[n], profile, evidence, counts, tables, places) for n in select or _usual(profile))
    records = [record for found in evidence.keys().values() for record in found]
    mine = [record for record in records if record.meta.get("profile") == profile.name]
    strays = [record for record in records if str(record.meta.get("profile")) not in PROFILES]
    known = _known(profile) if mine or strays else set()
    others = tuple(sorted(record.name for record in mine if record.key not in known))
    faults = (*evidence.faults, *sorted(_stray(record) for record in strays if record.key not in known))
    lacks = _lacks(profile, [tables[view.number] for view in views], evidence, places)
    return Report(profile, views, faults, others, audit.whole(counts.values), lacks)


def _lacks(
    profile: Profile, chosen: Sequence[Table], evidence: Evidence, places: tuple[str, ...]
) -> tuple[Remaining, ...]:
    mine = remaining(chosen, profile, evidence, places)
    if profile.name == FULL_SCALE:
        return (mine,)
    full = [table for table in chosen if not table.own]
    return (mine, remaining(full, get(FULL_SCALE), evidence, places, seeds=1)) if full else (mine,)


def _stray(record: Record) -> str:
    profile = record.meta.get("profile")
    return f"{record.name} ({record.place}): profile {profile!r} is none of {', '.join(PROFILES)}, so no table shows it"


def _usual(profile: Profile) -> list[int]:
    """Return the numbers of all tables: the paper's, and of the suite's own those that a profile has the data for."""
    return [number for number, table in specs.tables().items() if not table.own or profile.fills(table)]


def render_table(
    number: int,
    profile: Profile,
    shelf: Shelf,
    counts: Counts | None = None,
    places: tuple[str, ...] = ("reference", "local"),
    form: str = "md",
) -> str:
    """Return one table as text in one format (``md``, ``tex``, ``csv``, ``json``)."""
    tables = specs.tables()
    return _one(compare(tables[number], profile, shelf, counts or Counts({}), tables, places), form)


def _one(view: TableView, form: str) -> str:
    match form:
        case "tex":
            return latex.render(view)
        case "csv":
            return csv.render(view)
        case "json":
            return json.render((view,))
        case _:
            return markdown.render(view)


def _known(profile: Profile) -> set[str]:
    """Return the keys of every run that a table or figure of this profile asks for, first stages too."""
    found: set[str] = set()
    for table in specs.tables().values():
        for cell in (cell for row in table.rows for cell in row.cells):
            if isinstance(cell, Score | Submitted):
                found |= _chain(profile.resolve(cell.training, cell.evaluation))
    for figure in specs.figures().values():
        for training in figure.trainings:
            found |= _chain(profile.resolve(training))
    return found


def _chain(run: object) -> set[str]:
    return {run.key, run.trained().key} | _chain(run.start) if isinstance(run, Run) else set()


def files(report: Report, formats: Sequence[str], figures: Sequence[Picture] = ()) -> dict[str, str]:
    """Return each output file's text by its name; ``figures`` go into the LaTeX document and the HTML page."""
    found: dict[str, str] = {}
    page = Page(report.views, report.faults, report.others, report.audit, report.lacks, tuple(figures))
    for form in ("md", "tex", "csv"):
        if form in formats:
            found |= {f"{view.name}.{form}": _one(view, form) for view in report.views}
    if "md" in formats:
        found["audit.md"] = audited.as_markdown(report.audit)
        found["README.md"] = index.render(page)
    if "tex" in formats:
        found["audit.tex"] = audited.as_latex(report.audit)
        found["document.tex"] = document.render(page)
    if "json" in formats:
        found["report.json"] = json.render(
            report.views,
            problems=report.faults,
            records_of_no_table=report.others,
            not_run=report.lacks,
            audit=report.audit,
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
            (folder / name).write_text(texts[name], encoding="utf-8", newline="\n")
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 where ``--check`` finds stale files, 2 for bad input."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _run(options: argparse.Namespace) -> int:
    places = ("reference", "local") if options.local else ("reference",)
    if not options.runs.is_dir():
        msg = f"--runs {options.runs}: there is no such folder; run this beside runs/ or name the folder of the records"
        raise ReportError(msg)
    shelf = read(options.runs, local=options.local)
    counts = load_counts()
    out = options.out or Path("build/tables" if options.local else "tables")
    chosen = _chosen(options.select)
    numbers = [number for number, table in specs.tables().items() if table.name in chosen]
    stale: list[Path] = []
    reports: dict[Path, Report] = {}
    for profile in _profiles(options.profile, shelf):
        folder = out if profile.name == DEFAULT_PROFILE else out / profile.name
        report = reports[folder] = build(profile, shelf, counts, numbers, places)
        texts = files(report, _formats(options.format), _figures(folder, profile, options.figures))
        texts = {name: text for name, text in texts.items() if not chosen or name.rpartition(".")[0] in chosen}
        stale += _put(folder, texts, check=options.check)
    if options.readme or not (options.out or options.local or options.select or options.profile):
        stale += _renew(options.readme, reports, check=options.check)
    said = "stale" if options.check else "written"
    sys.stdout.write("".join(f"{said}: {path}\n" for path in stale) or f"up to date: {out}\n")
    return int(bool(options.check and stale))


def _put(folder: Path, texts: Mapping[str, str], *, check: bool) -> list[Path]:
    """Write what differs, or only name it; return it either way."""
    return [folder / name for name in differing(folder, texts)] if check else write(folder, texts)


def _renew(page: Path | None, reports: Mapping[Path, Report], *, check: bool) -> list[Path]:
    """Renew the claims between the marks of a page: ``README.md`` by default, where it has them."""
    path = page or Path("README.md")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = ""
    folders = {report.profile.name: Path(os.path.relpath(at, path.parent)).as_posix() for at, report in reports.items()}
    views = {report.profile.name: report.views for report in reports.values()}
    own, others = ([lack for report in reports.values() for lack in report.lacks[part]] for part in PARTS)
    lacks = {lack.profile: lack for lack in (*own, *others)} | {lack.profile: lack for lack in own}
    first = next(iter(reports.values()))
    renewed = readme.splice(text, readme.block(views, first.audit, folders, tuple(lacks.values())))
    if renewed is None and page is None:
        return []
    if renewed is None:
        msg = f"--readme {page}: lacks the two marks of the claims; write {readme.START} and {readme.END} into it"
        raise ReportError(msg)
    return _put(path.parent, {path.name: renewed}, check=check)


def _figures(folder: Path, profile: Profile, figures: Path) -> list[Picture]:
    """Return the figures that were drawn for a profile, the paper's first; paths are from the report's folder."""
    own = figures if profile.name == DEFAULT_PROFILE else figures / profile.name
    found = [(figure, own / f"{figure.name}.pdf") for figure in specs.figures().values()]
    return [
        Picture(
            figure.name,
            figure.title,
            figure.number,
            Path(os.path.relpath(path, folder)).as_posix(),
            _bytes(path.with_suffix(".png")),
        )
        for figure, path in found
        if path.exists()
    ]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _profiles(name: str, shelf: Shelf) -> list[Profile]:
    """Return the profile asked for; by default the first one and every other that has records."""
    if name:
        return [get(name)]
    seen = {str(record.meta.get("profile")) for record in shelf.records} | {DEFAULT_PROFILE}
    return [profile for known, profile in PROFILES.items() if known in seen]


def _chosen(names: Sequence[str]) -> set[str]:
    """Return what was selected by the stem of its files: ``table2``, ``audit``."""
    known = {name: name for name in (*(table.name for table in specs.tables().values()), "audit")}
    short = {str(number): specs.tables()[number].name for number in specs.printed()}
    if unknown := [name for name in names if name not in known | short]:
        msg = f"--select {unknown[0]}: there is no such table; known are {', '.join(known)}"
        raise ReportError(msg)
    return {(known | short)[name] for name in names}


def _formats(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in FORMATS]:
        msg = f"--format {unknown[0]}: unknown; choose from {', '.join(FORMATS)}"
        raise ReportError(msg)
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("repro.report", description=__doc__)
    parser.add_argument(
        "--profile", default="", help="shapes, camvid_half, camvid_short, camvid or paper (default: those with records)"
    )
    parser.add_argument("--select", nargs="*", default=[], metavar="TABLE", help="table2, 2 or audit (default: all)")
    parser.add_argument("--format", default=",".join(DEFAULT_FORMATS), help="any of " + ",".join(FORMATS))
    parser.add_argument("--out", type=Path, help="folder to write to (default: tables, or build/tables with --local)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the records")
    parser.add_argument("--figures", type=Path, default=Path("figures"), help="folder of the figures")
    parser.add_argument("--readme", type=Path, help="page whose claims to renew (default: README.md, without --out)")
    parser.add_argument("--local", action="store_true", help="show runs/local beside runs/reference")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name what is stale")
    return parser


if __name__ == "__main__":
    sys.exit(main())
