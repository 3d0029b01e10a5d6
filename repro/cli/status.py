"""`repro status` and `repro retract`: finished, unfinished and withdrawn runs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table as Grid

from repro.cli import options
from repro.cli.options import Request, out
from repro.config.errors import RecordError
from repro.config.machine import Machine
from repro.formatting import many
from repro.results import records, retraction, server_scores
from repro.results.records import RecordStore, Withdrawal


@click.command()
@options.some_tables
@options.profile
@options.seeds
@click.option("--records", "listed", is_flag=True, help="list every record of the profile, withdrawn ones too")
@options.runs
@options.as_json
def status(*, tables: tuple[str, ...], listed: bool, as_json: bool, **words: Any) -> None:  # noqa: ANN401 - the fields of Request
    """Print finished and unfinished runs, and records that were passed over."""
    show = listing if listed else show_status
    show(out, options.make(Request, words, tables=tables or ("all",)), as_json=as_json)


@click.command()
@click.argument("name", shell_complete=options.complete_keys)
@click.option("--why", default="", help="the reason, kept beside the record")
@click.option("--undo", is_flag=True, help="restore a withdrawn record")
@click.option("--reference", is_flag=True, help="the project's record, not this machine's")
@options.runs
def retract(*, name: str, why: str, undo: bool, reference: bool, runs: Path) -> None:
    """Withdraw the wrong record (or answer) NAME by a file beside it that says why; records built on it fall with it.

    repro status --records lists the names.
    """
    place = "reference" if reference else "local"
    if undo:
        restore(out, name, runs, place)
    else:
        retract_record(out, name, why, runs, place)


PLACES = ("reference", "local")
LISTED = "repro status --records"
Filled = dict[int | str, Counter[str]]
"""Of each table: its cells, and how many of them have a record in each place."""


def show_status(out: Console, request: Request, *, as_json: bool) -> None:
    """Print, by table, how many cells have a record; then diverged, unfinished and passed-over runs."""
    shelf = request.shelf
    filled = _filled(request)
    place = Machine(runs=request.runs)
    folders = sorted(path.name for path in place.work.glob("*/") if path.is_dir())
    finished = {r.name for r in shelf.records if r.place == "local"}
    work = [name for name in folders if name not in finished]
    diverged = sorted(
        r.name for r in shelf.records if r.status == "diverged" and r.meta.get("profile") == request.profile
    )
    if as_json:
        tables = {str(table): {name: found[name] for name in ("cells", *PLACES)} for table, found in filled.items()}
        tree = {"tables": tables, "unfinished": work, "diverged": diverged, "passed_over": list(shelf.passed_over)}
        out.print_json(json.dumps(tree))
        return
    out.print(
        f"[bold]{request.profile}[/]: cells that have a record, of the project (reference) and of this machine (local)",
        soft_wrap=True,
    )
    out.print(_grid(filled))
    for name in diverged:
        out.print(f"diverged: {name} (its record says when; the tables show it as such)", soft_wrap=True, markup=False)
    for name in work:
        out.print(f"unfinished: {name} (the same repro run takes it up again)", soft_wrap=True, markup=False)
    for name in sorted({*folders} & finished):
        out.print(f"left by a killed process: {place.work / name} (the next repro run of {name} clears it)",
                  soft_wrap=True, markup=False)  # fmt: skip
    for fault in shelf.passed_over:
        out.print(f"passed over: {fault}", style="yellow", soft_wrap=True, markup=False)
    if shelf.withdrawn:
        out.print(f"withdrawn: {many(len(shelf.withdrawn), 'record')} ({LISTED} names them)", soft_wrap=True)


def _filled(request: Request) -> Filled:
    """Return by table how many cells there are data for, and how many have a record in each place."""
    shelf, found = request.shelf, Filled()
    for (table, _, _), run in request.plan(shelf).cells.items():
        if run is not None:
            places = {record.place for record in shelf.of(run.key)}
            found.setdefault(table, Counter()).update(["cells", *places])
    return found


def _grid(filled: Filled) -> Grid:
    grid = Grid("table", "cells", *PLACES, box=None, padding=(0, 2, 0, 0))
    for column in grid.columns[1:]:
        column.justify = "right"
    for table, found in filled.items():
        name = f"table{table}" if isinstance(table, int) else table
        grid.add_row(name, *(str(found[part]) for part in ("cells", *PLACES)))
    return grid


def listing(out: Console, request: Request, *, as_json: bool) -> None:
    """Print every record of a profile by name, with key, seed, status and place; withdrawn ones with the reason."""
    shelf = request.shelf
    rows = [
        {"name": r.name, "key": r.key, "seed": str(r.seed), "status": r.status, "place": r.place, "why": ""}
        for r in shelf.records
        if r.meta.get("profile") == request.profile
    ]
    rows += [_row(gone) for gone in shelf.withdrawn if gone.name.startswith(f"{request.profile}-")]
    rows.sort(key=lambda row: (row["name"], row["place"]))
    if as_json:
        tree = [{**row, "seed": int(row["seed"]) if row["seed"] else None} for row in rows]
        out.print_json(json.dumps({"records": tree, "passed_over": list(shelf.passed_over)}))
        return
    head = {column: column for column in ("name", "key", "seed", "status", "place", "why")}
    widths = {column: max(len(row[column]) for row in [head, *rows]) for column in head}
    for row in [head, *rows]:
        text = "  ".join(f"{row[column]:{width}}" for column, width in widths.items())
        out.print(text.rstrip(), soft_wrap=True, markup=False)
    for fault in shelf.passed_over:
        out.print(f"passed over: {fault}", style="yellow", soft_wrap=True, markup=False)


def _row(gone: Withdrawal) -> dict[str, str]:
    """Return a line of the listing for a record that may be unreadable: key and seed are those of its name."""
    found = records.OWN_NAME.search(gone.name)
    key, seed = (found["key"], found["seed"]) if found else ("", "")
    return {"name": gone.name, "key": key, "seed": seed, "status": "retracted", "place": gone.place, "why": gone.why}


def retract_record(out: Console, name: str, why: str, runs: Path, place: str = "local") -> None:
    """Withdraw a record or an answer of one place, and print the records that fall with it.

    Raises:
        RecordError: there is none in that place, no reason is given, it was withdrawn for another one, or the disk
            refuses.
    """
    if not why.strip():
        raise RecordError(f"{name}: a withdrawal needs its reason; say it in words after --why")
    found = _folders(name, runs)
    for folder in (folder for folder in found.get(place, ()) if retraction.withdrawn(folder)):
        if retraction.reason(folder) == retraction.in_one_line(why):  # the same command again
            out.print(f"retracted {folder}", soft_wrap=True, markup=False)
            return
        raise RecordError(
            f"{name}: was withdrawn before ({retraction.reason(folder)}); repro retract {name} --undo restores it"
        )
    if not found.get(place):
        raise RecordError(_none(name, runs, place, bool(found)))
    before = _shelf(runs)
    for folder in found[place]:
        try:
            retraction.withdraw(folder, why)
        except OSError as error:
            raise RecordError(
                f"{folder}: is not withdrawn, the reason cannot be written ({error.strerror or error}); free space"
            ) from error
        out.print(f"retracted {folder}", soft_wrap=True, markup=False)
    for other in _fallen(before, _shelf(runs), name):
        out.print(f"falls with it: {other}", soft_wrap=True, markup=False)


def restore(out: Console, name: str, runs: Path, place: str = "local") -> None:
    """Undo a withdrawal: the record or answer of a name is used again, with those that fell with it.

    Raises:
        RecordError: nothing of that name was withdrawn in that place, another has its name, or the disk refuses.
    """
    for root in _roots(runs, place):
        here = root / name
        aside = retraction.moved_aside(root, name)
        if here.name == name and retraction.withdrawn(here):
            _restore(out, here)
            return
        if aside and here.exists():
            raise RecordError(
                f"{name}: another record has taken its name since; retract that one first, then restore this one: "
                f"repro retract {aside[-1].name} --undo"
            )
        if aside:
            _restore(out, aside[-1])
            return
    raise RecordError(f"{name}: nothing of this name was withdrawn among the {place} records; see {LISTED}")


def _restore(out: Console, folder: Path) -> None:
    target = folder.with_name(retraction.first_name(folder.name))
    try:
        if folder != target and retraction.withdrawn(target):
            retraction.move_aside(target)
        if folder != target and target.exists():
            raise RecordError(
                f"{folder.name}: {target.name} is another record now; retract that one first, then --undo this one"
            )
        why = retraction.reason(folder)
        retraction.restore(folder)
    except OSError as error:
        raise RecordError(f"{folder}: cannot be restored ({error.strerror or error}); it is withdrawn still") from error
    out.print(f"restored {target} (it was withdrawn: {why})", soft_wrap=True, markup=False)


def _roots(runs: Path, place: str) -> tuple[Path, Path]:
    """Return the folders of a place's records and of its answers."""
    root = getattr(Machine(runs=runs), place)
    return root, root / server_scores.FOLDER


def _folders(name: str, runs: Path) -> dict[str, list[Path]]:
    """Return the folders of a name, readable or not, withdrawn or not, by its place."""
    found: dict[str, list[Path]] = {}
    for place in PLACES:
        root, scores = _roots(runs, place)
        held = [(root / name, records.FILE), (scores / name, server_scores.FILE)]
        if folders := [folder for folder, file in held if folder.name == name and (folder / file).exists()]:
            found[place] = folders
    return found


def _none(name: str, runs: Path, place: str, other: bool) -> str:  # noqa: FBT001 - two sentences
    if other and place == "local":
        return f"{name}: is a record of the project, not of this machine; to withdraw that one, add --reference"
    if other:
        return f"{name}: is a record of this machine, not of the project; leave --reference out"
    return f"{name}: no record of this name under {runs}; {LISTED} lists them"


def _shelf(runs: Path) -> RecordStore:
    place = Machine(runs=runs)
    return records.load({"reference": place.reference, "local": place.local})


def _fallen(before: RecordStore, after: RecordStore, name: str) -> list[str]:
    """Return the names of records and answers that are used no more, besides the one that was withdrawn."""
    left = {r.folder for r in after.records} | {a.folder for a in after.answers}
    gone = [r.folder for r in before.records if r.folder not in left]
    gone += [a.folder for a in before.answers if a.folder not in left]
    return [folder.name for folder in gone if folder.name != name]
