"""`repro submit` and `repro score`: archives for test servers, and the servers' answers."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from repro import data
from repro.cli import options
from repro.cli.options import out
from repro.config import profiles
from repro.config.errors import AnswerError, RecordError, SpecError, SubmissionError
from repro.config.experiment import Run
from repro.config.io import atomic_write
from repro.config.machine import Machine, cores
from repro.config.profiles import Profile
from repro.data.dataset import Bytes, Dataset
from repro.evaluation import crf, submission, trained_model
from repro.evaluation.predictor import Predictor, frame_of
from repro.evaluation.trained_model import Trained
from repro.formatting import many
from repro.models.architectures import architecture
from repro.paper.schema import Submitted, Table, submitted
from repro.paper.tables import all_tables, select_tables
from repro.results import records, server_scores
from repro.results.server_scores import Submission
from repro.training.distributed import open_fabric


@click.command()
@click.argument("table", metavar="TABLE", shell_complete=options.complete_tables)
@click.option(
    "--profile", "-p", type=options.PROFILE, default="paper", show_default=True, help="one whose data has a test server"
)
@options.steps
@options.recipe
@options.stride_in
@click.option(
    "--seed", type=options.NOT_NEGATIVE, default=0, show_default=True, help="which seed of the trained network"
)
@options.folder(None, "archive to write; by default below submissions/")
@click.option("--check", "archive", type=options.FILE, help="only validate this archive, whoever wrote it")
@options.data_root
@options.device
@options.precision
@options.runs
def submit(*, target: Path | None, archive: Path | None, **words: Any) -> None:  # noqa: ANN401 - the fields of Request
    """Predict a test set and write the archive that its server takes, checked.

    TABLE is table8 (PASCAL VOC 2012) or table10 (Cityscapes). Nothing is uploaded.
    """
    request = options.make(Request, words, place=options.make(Machine, words), out=target)
    if archive is None:
        write_submission(out, request)
    else:
        check_submission(out, request, archive)


@click.command()
@click.argument("key")
@click.argument("miou", type=options.Number(0, 100))
@click.option("--date", default="", help="day of the answer, such as 2026-11-21; today where it is left out")
@click.option("--note", type=options.FILE, help="note of repro submit beside the archive, from another machine")
@options.runs
def score(*, key: str, miou: float, date: str, note: Path | None, runs: Path) -> None:
    """Enter the answer of a test server, in per cent; Tables 8 and 10 show it.

    KEY is the one that repro submit printed, on this machine unless a --note is given. repro retract withdraws an
    answer.
    """
    enter_score(out, key, miou, date, runs, note)


LEAST = 1.0
"""Per cent; servers print per cent, and a smaller number is a fraction typed by mistake."""


def known() -> Iterator[tuple[str, Table, str, str]]:
    """Yield (key, table, profile, recipe) of every run whose predictions a server can score."""
    cells = [(table, cell) for table in all_tables().values() if (cell := submitted(table))]
    for table, cell in cells:
        for profile in profiles.PROFILES.values():
            for recipe in _recipes(profile):
                run = profiles.get(profile.name, recipe=recipe).resolve(cell.training, cell.evaluation)
                if run is not None:
                    yield run.key, table, profile.name, recipe


def _recipes(profile: Profile) -> list[str]:
    """Return the recipes that a user can choose: those that no role keeps for itself."""
    own = {role.recipe for role in profile.roles.values()}
    return [name for name in profile.recipes if name not in own]


def enter_score(out: Console, key: str, miou: float, date: str, runs: Path, note: Path | None = None) -> None:
    """Enter an answer to an archive that ``repro submit`` wrote.

    Args:
        out: where to say so.
        key: of the submitted run, as ``repro submit`` printed it.
        miou: in per cent, as the server prints it.
        date: its day; empty: today.
        runs: folder of the records.
        note: the file that ``repro submit`` wrote beside the archive, where that was on another machine.

    Raises:
        AnswerError: the key is of no table's run, no archive of it was written, or the score or the day is impossible.
    """
    found = [(table, profile, recipe) for own, table, profile, recipe in known() if own == key]
    if not found:
        listed = "; ".join(f"{own} (table{t.number}, {p}, recipe {r})" for own, t, p, r in known())
        raise AnswerError(f"{key}: no table submits a run of this key; known are {listed}")
    if 0 < miou < LEAST:
        raise AnswerError(f"a mean IoU of {miou:g} %: write per cent as the server prints it, such as 82.2")
    table, profile, _ = found[0]
    cell = submitted(table)
    assert cell is not None
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    local = Machine(runs=runs).local
    answer = server_scores.append(
        local, cell.server, round(miou / 100, 8), date or today, _submission(key, local, note)
    )
    out.print(f"entered: {miou:g} % of {answer.date} for table{table.number}, profile {profile}, predictions of "
              f"{answer.record} ({answer.folder})", soft_wrap=True, markup=False)  # fmt: skip


def _submission(key: str, local: Path, note: Path | None) -> Submission:
    """Return the archive that an answer belongs to: the one of a note, else the last that was written here."""
    if note is not None:
        found = server_scores.read_note(note)
        if found.key != key:
            raise AnswerError(f"--note {note}: is of key {found.key}, not of {key}; give the one that was submitted")
        return found
    written = server_scores.submissions(local, key)
    if len(names := sorted({one.record for one in written})) > 1:
        raise AnswerError(
            f"{key}: archives of {' and '.join(names)} were written; say which one was submitted: --note ARCHIVE.json"
        )
    return written[-1]


WRITERS = {"voc": (submission.write_voc, ".tar.gz"), "cityscapes": (submission.write_cityscapes, ".zip")}
CHECKS = {"voc": submission.check_voc, "cityscapes": submission.check_cityscapes}
TRAINED_BY = {"voc": "table7", "cityscapes": "table9"}
"""Server -> the table whose last stage is submitted."""


@dataclass(frozen=True)
class Request:
    """A submission, as typed."""

    table: str
    profile: str
    place: Machine
    steps: int | None = None
    recipe: str = ""
    stride_in: str | None = None
    seed: int = 0
    out: Path | None = None

    @property
    def words(self) -> str:
        """The options that the trained run needs."""
        given = (("steps", self.steps), ("recipe", self.recipe), ("stride-in", self.stride_in))
        extra = [f" --{name} {value}" for name, value in given if value]
        return f"--profile {self.profile}{''.join(extra)}"


def write_submission(out: Console, request: Request) -> Path:
    """Write and validate the archive of a table's submitted row; return its path.

    Raises:
        SpecError: the table submits nothing, or the profile has no such test set.
        RecordError: its network is not trained here.
        SubmissionError: the archive is not what the server takes, or cannot be written.
        AnswerError: the note under the records, which ``repro score`` asks for, cannot be written.
    """
    number, cell, run, source = _target(request)
    model = _trained(request, source, cell)
    dataset = data.load(run.test.dataset, run.test.split, request.place.data_root)
    if model.classes != dataset.classes:
        raise RecordError(f"{model.record.name}: has other classes than {dataset.name}; train it on {dataset.name}")
    write, ending = WRITERS[cell.server]
    path = request.out or Path("submissions") / f"table{number}-{run.key}-s{request.seed}{ending}"
    with Progress(console=out, transient=True, disable=not out.is_terminal) as bar:
        found = bar.track(predictions(model, run, dataset, request.place), len(dataset), description="predicting")
        write(found, submission.image_sizes(dataset), path)
    server_scores.keep(request.place.local, _describe(path, run, model, len(dataset)))
    out.print(f"written and checked: {path} ({many(len(dataset), 'image')}, {model.record.name})", soft_wrap=True)
    out.print(f"upload it, then enter the answer: repro score {run.key} <mIoU in per cent>", soft_wrap=True)
    return path


def check_submission(out: Console, request: Request, archive: Path) -> None:
    """Validate an archive, whoever wrote it, against the images of the test set.

    Raises:
        SpecError: as ``submit``.
        SubmissionError: the server would refuse or misread it.
    """
    _, cell, run, _ = _target(request)
    dataset = data.load(run.test.dataset, run.test.split, request.place.data_root)
    CHECKS[cell.server](archive, submission.image_sizes(dataset))
    out.print(f"{archive} is what the {cell.server} server takes ({many(len(dataset), 'image')})", soft_wrap=True)


def _target(request: Request) -> tuple[int, Submitted, Run, Run]:
    """Return the table's number, its submitted cell, the run under the submitted protocol, and its training."""
    number, cell = _cell(request.table)
    profile = profiles.get(request.profile, steps=request.steps, recipe=request.recipe, stride_in=request.stride_in)
    run, source = profile.resolve(cell.training, cell.evaluation), profile.resolve(cell.training)
    if run is None or source is None:
        raise SpecError(
            f"table{number}: profile {request.profile} has no test set of the {cell.server} server; use --profile paper"
        )
    return number, cell, run, source


def _cell(word: str) -> tuple[int, Submitted]:
    """Return number and submitted cell of the one table that a word names."""
    for table in select_tables([word]):
        if cell := submitted(table):
            return table.number, cell
    raise SpecError(f"{word}: has no row that a test server scores; tables 8 and 10 do")


def _trained(request: Request, source: Run, cell: Submitted) -> Trained:
    place = request.place
    shelf = records.load({"reference": place.reference, "local": place.local})
    if not shelf.of(source.key):
        raise RecordError(
            f"{source.slug}-{source.key}: is not trained here; run: repro run {TRAINED_BY[cell.server]} {request.words}"
        )
    return trained_model.load(trained_model.find(place.runs, source.key, request.seed))


def predictions(model: Trained, run: Run, dataset: Dataset, place: Machine) -> Iterator[tuple[str, Bytes]]:
    """Yield id and labels (h, w) of every image under the run's protocol; a CRF runs on all cores."""
    fabric = open_fabric(place, narrow=architecture(run.model.backbone).narrow)
    predictor = Predictor(
        net=model.net.to(fabric.device), normalise=model.normalise, frame=frame_of(run.test),
        evaluation=replace(run.evaluation, crf=None), device=fabric.device, autocast=fabric.autocast,
    )  # fmt: skip
    field = run.evaluation.crf
    if field is None:
        for i, name in enumerate(dataset.ids):
            yield name, predictor.labels([np.ascontiguousarray(dataset.read(i)[0])])[0]
        return
    refined = crf.refine_all(_softmax(predictor, dataset), field, cores())
    yield from zip(dataset.ids, refined, strict=True)


def _softmax(predictor: Predictor, dataset: Dataset) -> Iterator[tuple[NDArray[np.float32], Bytes]]:
    for i in range(len(dataset)):
        image = np.ascontiguousarray(dataset.read(i)[0])
        yield predictor.softmax([image])[0], image


def _describe(path: Path, run: Run, model: Trained, images: int) -> Submission:
    """Write the archive's content beside it, so that an answer can be traced to the network; return it."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    found = Submission(run.key, model.record.name, model.record.digest, digest, run.profile, images, today)
    note = path.with_name(path.name + ".json")
    try:
        atomic_write(note, found.text())
    except OSError as error:
        raise SubmissionError(f"{note} cannot be written ({error.strerror or error}); free space") from error
    return found
