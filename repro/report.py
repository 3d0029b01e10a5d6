"""Render tables and the claims board from records: ``python -m repro.report``. It reads no clock and needs no torch."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro import audit, specs
from repro.compare import Counts, compare, load_counts
from repro.experiment import Run
from repro.findings import Audit
from repro.measured import Evidence
from repro.profiles import PROFILES, Profile, get
from repro.records import Shelf, load
from repro.render import audited, csv, document, index, json, latex, markdown
from repro.spec import Score, Submitted
from repro.views import TableView

FORMATS = ("md", "tex", "csv", "json", "html")
DEFAULT_FORMATS = ("md", "tex", "csv")
DEFAULT_PROFILE = "shapes"


class ReportError(ValueError):
    """A report that cannot be made or written, in one sentence."""


@dataclass(frozen=True)
class Report:
    """Every selected table of one profile, and what concerns no single one."""

    profile: Profile
    views: tuple[TableView, ...]
    faults: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    audit: Audit = Audit()


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
    mine = {key: found for key, found in evidence.keys().items() if found[0].meta.get("profile") == profile.name}
    known = set(mine) and _known(profile)
    others = (record.name for key in sorted(mine) if key not in known for record in mine[key])
    return Report(profile, views, evidence.faults, tuple(sorted(others)), audit.whole(counts.values))


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


def files(report: Report, formats: Sequence[str], figures: Sequence[str] = ()) -> dict[str, str]:
    """Return each output file's text by its name; ``figures`` are paths for the LaTeX document."""
    found: dict[str, str] = {}
    apart = report.faults, report.others, report.audit
    for form in ("md", "tex", "csv"):
        if form in formats:
            found |= {f"{view.name}.{form}": _one(view, form) for view in report.views}
    if "md" in formats:
        found["audit.md"] = audited.as_markdown(report.audit)
        found["README.md"] = index.render(report.views, *apart)
    if "tex" in formats:
        found["audit.tex"] = audited.as_latex(report.audit)
        found["document.tex"] = document.render(report.views, figures, *apart)
    if "json" in formats:
        found["report.json"] = json.render(
            report.views, problems=report.faults, records_of_no_table=report.others, audit=report.audit
        )
    if "html" in formats:
        from repro.render import html

        found["report.html"] = html.render(report.views, *apart)
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
        path = folder / name
        if not path.is_file() or path.read_bytes() != text.encode():
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
    shelf = read(options.runs, local=options.local)
    counts = load_counts()
    out = options.out or Path("build/tables" if options.local else "tables")
    stale: list[Path] = []
    for profile in _profiles(options.profile, shelf):
        report = build(profile, shelf, counts, _numbers(options.select), places)
        folder = out if profile.name == DEFAULT_PROFILE else out / profile.name
        texts = files(report, _formats(options.format), _figures(folder, profile, options.figures))
        if options.select:
            chosen = {view.name for view in report.views}
            texts = {name: text for name, text in texts.items() if name.partition(".")[0] in chosen}
        stale += [folder / n for n in differing(folder, texts)] if options.check else write(folder, texts)
    said = "stale" if options.check else "written"
    sys.stdout.write("".join(f"{said}: {path}\n" for path in stale) or f"up to date: {out}\n")
    return int(bool(options.check and stale))


def _figures(folder: Path, profile: Profile, figures: Path) -> list[str]:
    """Return the paths, from the report's folder, of the figures that were drawn for a profile."""
    own = figures if profile.name == DEFAULT_PROFILE else figures / profile.name
    found = sorted(own.glob("*.pdf"), key=lambda path: (len(path.stem), path.stem))
    return [Path(os.path.relpath(path, folder)).as_posix() for path in found]


def _profiles(name: str, shelf: Shelf) -> list[Profile]:
    """Return the profile asked for; by default the first one and every other that has records."""
    if name:
        return [get(name)]
    seen = {str(record.meta.get("profile")) for record in shelf.records} | {DEFAULT_PROFILE}
    return [profile for known, profile in PROFILES.items() if known in seen]


def _numbers(names: Sequence[str]) -> list[int]:
    known = {table.name: number for number, table in specs.tables().items()}
    known |= {str(number): number for number in specs.printed()}
    numbers = []
    for name in names:
        if name not in known:
            listed = ", ".join(table.name for table in specs.tables().values())
            raise ReportError(f"--select {name}: there is no such table; known are {listed}")
        numbers.append(known[name])
    return sorted(set(numbers))


def _formats(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in FORMATS]:
        msg = f"--format {unknown[0]}: unknown; choose from {', '.join(FORMATS)}"
        raise ReportError(msg)
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("repro.report", description=__doc__)
    parser.add_argument(
        "--profile", default="", help="shapes, camvid_half, camvid or paper (default: those with records)"
    )
    parser.add_argument("--select", nargs="*", default=[], metavar="TABLE", help="table2 or 2 (default: all)")
    parser.add_argument("--format", default=",".join(DEFAULT_FORMATS), help="any of " + ",".join(FORMATS))
    parser.add_argument("--out", type=Path, help="folder to write to (default: tables, or build/tables with --local)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the records")
    parser.add_argument("--figures", type=Path, default=Path("figures"), help="folder of the figures")
    parser.add_argument("--local", action="store_true", help="show runs/local beside runs/reference")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name what is stale")
    return parser


if __name__ == "__main__":
    sys.exit(main())
