"""Files are written whole or not at all: the disk fails at every write, sync, rename and new folder in turn."""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import save_file

from repro import models
from repro.cli import predict, status, submit
from repro.config import profiles
from repro.config.errors import AbsentError, DataError, FigureError, RecordError, is_ours
from repro.config.experiment import Training, folder_name
from repro.config.hashing import key_of_tree
from repro.config.io import PARTIAL, atomic_file, reading
from repro.config.networks import GCN, Model
from repro.data.shapes import CLASSES
from repro.figures import style
from repro.paper.schema import submitted
from repro.paper.tables import all_tables
from repro.report import build, markdown
from repro.results import field_areas, records, server_scores
from repro.results.field_areas import Areas, Field, Settings
from repro.results.server_scores import Submission
from tests.support import simulate
from tests.support.files import snapshot

OUT = Console(quiet=True)


RUN = profiles.get("shapes").resolve(Training(Model(GCN(3))))


class Disk:
    """A disk whose n-th change fails, once; a write that fails has written half."""

    def __init__(self, patch: pytest.MonkeyPatch, fails: int) -> None:
        """Take the place of what changes a disk."""
        self.left = fails
        for module, name in ((os, "fsync"), (os, "replace"), (os, "mkdir")):
            patch.setattr(module, name, self._failing(getattr(module, name)))
        opened = io.open
        for module in (io, builtins):
            patch.setattr(module, "open", lambda *words, **more: self._file(opened(*words, **more)))

    @property
    def failed(self) -> bool:
        """Whether it has."""
        return self.left <= 0

    def count(self) -> bool:
        """Count a change; say whether it is the one that fails."""
        self.left -= 1
        return self.left == 0

    def _failing(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def called(*words: Any, **more: Any) -> Any:
            if self.count():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*words, **more)

        return called

    def _file(self, file: Any) -> Any:
        return _File(file, self) if file.writable() else file


class _File:
    """A file on such a disk."""

    def __init__(self, file: Any, disk: Disk) -> None:
        self.file, self.disk = file, disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, data: Any) -> Any:
        if self.disk.count():
            self.file.write(data[: len(data) // 2])
            self.file.flush()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)


def tried(command: Callable[[Path], object], prepare: Callable[[Path], object], tmp_path: Path) -> int:
    """Let the disk fail at every change that a command makes in turn; return how many there are.

    Each time it is one sentence of this package, every file is the one before or the one after, nothing is left beside
    them, and the same command then ends with the same bytes as undisturbed.
    """
    whole = tmp_path / "whole"
    whole.mkdir()
    prepare(whole)
    before = snapshot(whole)
    command(whole)
    after = snapshot(whole)
    for n in range(1, 1000):
        root = tmp_path / str(n)
        shutil.copytree(whole, root)
        for path in after:
            (root / path).unlink()
        for path, data in before.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        for folder in sorted(root.rglob("*"), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(patch, n)
            said = _said(command, root)
            if not disk.failed:
                assert n > 3
                assert said is None
                assert snapshot(root) == after
                return n - 1
        assert said is None or (is_ours(said) and "No space left" in str(said) and "\n" not in str(said)), (n, said)
        found = snapshot(root)
        assert all(data in (before.get(path), after.get(path)) for path, data in found.items()), (n, found.keys())
        assert before.keys() <= found.keys() | after.keys()
        assert not [path for path in root.rglob("*") if path.name.endswith(PARTIAL)]
        command(root)
        assert snapshot(root) == after, n
        shutil.rmtree(root)
    raise AssertionError("it never ends")


def _said(command: Callable[[Path], object], root: Path) -> ValueError | None:
    """Return what a command complains of."""
    try:
        command(root)
    except ValueError as error:
        return error
    return None


def _recorded(root: Path) -> None:
    assert RUN is not None
    simulate.write(root / "local", RUN, 0, classes=list(CLASSES))


def test_a_withdrawal(tmp_path: Path) -> None:
    """The record is withdrawn with its reason, or not at all."""
    assert RUN is not None
    name = folder_name(RUN, 0)
    tried(lambda root: status.retract_record(OUT, name, "wrong split", root), _recorded, tmp_path)


def test_an_answer(tmp_path: Path) -> None:
    """It is entered, or it can be."""
    cell = submitted(all_tables()[8])
    assert cell is not None
    run = profiles.get("paper").resolve(cell.training, cell.evaluation)
    assert run is not None
    sent = Submission(run.key, "paper-x-s0", "", "0" * 64, "paper", 1456, "2026-10-01")
    tried(
        lambda root: submit.enter_score(OUT, run.key, 82.2, "2026-11-21", root),
        lambda root: server_scores.keep(root / "local", sent),
        tmp_path,
    )


def test_a_note_of_an_archive(tmp_path: Path) -> None:
    """It is kept under the records, whole."""
    sent = Submission("0123456789", "paper-x-s0", "", "0" * 64, "paper", 1456, "2026-10-01")
    tried(lambda root: server_scores.keep(root / "local", sent), lambda _: None, tmp_path)


def test_a_record(tmp_path: Path) -> None:
    """It is appended, and the withdrawn one of its name moved aside, or neither."""
    meta = {"key": key_of_tree({}), "seed": 0, "status": "ok", "spec": {}}
    counts = {"classes": np.arange(18).reshape(3, 2, 3)}
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 10, "loss": 1.5}\n')

    def append(root: Path) -> None:
        if not records.present(root / "one"):
            records.append(root, "one", meta, counts, [log])

    tried(append, lambda _: None, tmp_path)


def test_areas(tmp_path: Path) -> None:
    """Earlier ones stay until the new ones are whole."""
    old, new = (Areas("r", Settings(), (96, 96), (Field("i", (1, 2), 3, 1200, area),)) for area in (10.0, 20.0))
    tried(lambda root: field_areas.write(root, new), lambda root: field_areas.write(root, old), tmp_path)


def test_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables and the page of claims: old ones are whole until new ones are."""

    def prepare(root: Path) -> None:
        for place in ("reference", "local"):
            (root / "runs" / place).mkdir(parents=True)
        (root / "runs" / "reference" / "kept").write_text("")
        (root / "tables").mkdir()
        (root / "tables" / "table2.md").write_text("an old table\n" * 1000)
        (root / "README.md").write_text(f"head\n{markdown.START}\nold\n{markdown.END}\n" + "tail\n" * 2000)

    def make(root: Path) -> None:
        words = ["--runs", str(root / "runs"), "--out", str(root / "tables"), "--select", "table2"]
        code = build.main([*words, "--readme", str(root / "README.md"), "--format", "md,csv"])
        said = capsys.readouterr().err
        assert code in {0, 2}
        if code:
            raise RecordError(said.removesuffix("\n"))

    tried(make, prepare, tmp_path)


def test_a_figure(tmp_path: Path) -> None:
    """PDF and PNG."""

    class Drawn:
        """What matplotlib draws, in less time."""

        def savefig(self, file: io.BytesIO, format: str, metadata: object) -> None:  # noqa: A002, ARG002 - matplotlib's
            """Write a picture of one pixel, or some bytes."""
            if format == "png":
                Image.new("RGB", (1, 1)).save(file, format=format)
            else:
                file.write(b"vector")

    def draw(root: Path) -> None:
        try:
            style.save(Drawn(), root / "figures" / "x")  # type: ignore[arg-type]
        except OSError as error:
            raise FigureError(str(error)) from error

    tried(draw, lambda root: (root / "figures").mkdir(), tmp_path)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Return a folder of runs whose record has untrained weights."""
    assert RUN is not None
    folder = simulate.write(tmp_path / "runs" / "local", RUN, 0, classes=list(CLASSES))
    torch.manual_seed(0)
    save_file(models.build(RUN.model, len(CLASSES), head_std=0.5).state_dict(), folder / "weights.safetensors")
    return tmp_path / "runs"


def test_an_export(runs: Path, tmp_path: Path) -> None:
    """Weights exported before stay until the new ones are whole."""
    assert RUN is not None
    key = RUN.key

    def export(root: Path) -> None:
        predict.export_weights(OUT, key, None, root / "w.safetensors", runs)

    (tmp_path / "work").mkdir()
    tried(export, lambda root: (root / "w.safetensors").write_bytes(b"old"), tmp_path / "work")


def test_a_prediction(runs: Path, tmp_path: Path) -> None:
    """Label map, overlay and legend."""
    assert RUN is not None
    key = RUN.key
    Image.fromarray((255 * simulate.noise(3, 32, 32, 3)).astype(np.uint8)).save(tmp_path / "x.png")
    (tmp_path / "work").mkdir()
    tried(
        lambda root: predict.predict_images(OUT, [tmp_path / "x.png"], key, None, root / "out", runs),
        lambda root: (root / "x-legend.json").write_text("of the user"),
        tmp_path / "work",
    )


def test_an_exception_within_leaves_the_old_file_whole(tmp_path: Path) -> None:
    """And nothing beside it."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), atomic_file(path) as file:
        file.writelines([b"new", "no bytes"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    """A missing file may have an error of its own; one raised within passes; others than those named are faults."""
    said = "list x cannot be read (No such file or directory); restore it"
    for missing, kind in ((None, DataError), (AbsentError, AbsentError)):
        with pytest.raises(DataError) as caught, reading("list x", "restore it", missing=missing):
            (tmp_path / "x").read_bytes()
        assert type(caught.value) is kind
        assert str(caught.value) == said
    with pytest.raises(DataError, match=r"^list x cannot be read \('utf-8' codec .*\); restore it$"):  # noqa: SIM117
        with reading("list x", "restore it", UnicodeDecodeError):
            b"\xff".decode()
    with pytest.raises(DataError, match=r"^as it is$"), reading("list x", "restore it", ValueError):
        raise DataError("as it is")
    with pytest.raises(KeyError), reading("list x", "restore it"):
        raise KeyError
