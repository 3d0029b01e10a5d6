"""`repro submit`: predict a test set whose labels a server keeps; write the archive it takes (Tables 8, 10)."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from repro import answers, crf, data, profiles, records
from repro.answers import Submission
from repro.atomic import atomic_write
from repro.commands import trained
from repro.commands.scoring import submitted
from repro.commands.trained import Trained
from repro.data import submission
from repro.data.dataset import Bytes, Dataset
from repro.experiment import Run
from repro.fabric import open_fabric
from repro.machine import DEVICES, Machine, cores, from_environment
from repro.models.architectures import architecture
from repro.predictor import Predictor, frame_of
from repro.records import RecordError
from repro.select import select_tables
from repro.spec import SpecError, Submitted

WRITERS = {"voc": (submission.write_voc, ".tar.gz"), "cityscapes": (submission.write_cityscapes, ".zip")}
CHECKS = {"voc": submission.check_voc, "cityscapes": submission.check_cityscapes}
PRECISIONS = ("auto", "32", "bf16")
TRAINED_BY = {"voc": "table7", "cityscapes": "table9"}
"""Server -> the table whose last stage is submitted."""


@dataclass(frozen=True)
class Request:
    """What the user asked for, as typed."""

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


def machine(runs: Path, data_root: Path | None, device: str, precision: str) -> Machine:
    """Return where to predict; raise ``SpecError`` for an unknown device or precision, or a missing data root."""
    for name, value, known in (("device", device, DEVICES), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise SpecError(f"--{name} {value}: choose from {', '.join(known)}")
    root, _ = from_environment(data_root, None)
    return Machine(runs=runs, data_root=root, device=device, precision=precision)  # type: ignore[arg-type]


def submit(out: Console, request: Request) -> Path:
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
    answers.keep(request.place.local, _describe(path, run, model, len(dataset)))
    out.print(f"written and checked: {path} ({len(dataset)} images, {model.record.name})", soft_wrap=True)
    out.print(f"upload it, then enter the answer: repro score {run.key} <mIoU in per cent>", soft_wrap=True)
    return path


def check(out: Console, request: Request, archive: Path) -> None:
    """Validate an archive, whoever wrote it, against the images of the test set.

    Raises:
        SpecError: as ``submit``.
        SubmissionError: the server would refuse or misread it.
    """
    _, cell, run, _ = _target(request)
    dataset = data.load(run.test.dataset, run.test.split, request.place.data_root)
    CHECKS[cell.server](archive, submission.image_sizes(dataset))
    out.print(f"{archive} is what the {cell.server} server takes ({len(dataset)} images)", soft_wrap=True)


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
    return trained.load(trained.find(place.runs, source.key, request.seed))


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
    """Write beside the archive what it holds, so that an answer can be traced to the network; return it."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    found = Submission(run.key, model.record.name, model.record.digest, digest, run.profile, images, today)
    note = path.with_name(path.name + ".json")
    try:
        atomic_write(note, found.text())
    except OSError as error:
        raise submission.SubmissionError(f"{note} cannot be written ({error.strerror or error}); free space") from error
    return found
