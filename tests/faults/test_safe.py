"""Nothing read is executed; nothing is written where only reading is due; a full disk loses nothing."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from repro.config import dataset_info
from repro.config.errors import CheckpointError
from repro.data import load
from repro.data.cache import open_store
from repro.data.coco import NAMES
from repro.training import checkpoint, optimizer
from repro.training.loss_log import Curve
from tests.support import ROOT
from tests.support.data_files import make_camvid, make_cityscapes, make_coco, make_imagenet, make_voc, square
from tests.support.short_runs import differences, execute, job, place, record


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        """Take the folder that unpickling makes."""
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Return what unpickling calls."""
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_cannot_execute_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a right checksum, pickled code is passed over, said, and not run; so is a file that is no checkpoint."""
    net = torch.nn.Linear(2, 2)
    checkpoint.save(tmp_path, {"model": net}, 5, "key")
    traps = [tmp_path / "trap7", tmp_path / "trap8"]
    buffer = io.BytesIO()
    torch.save({"step": 7, "key": "key", "model": Trap(traps[0])}, buffer)
    for step, payload in ((7, buffer.getvalue()), (8, pickle.dumps(Trap(traps[1]), protocol=2)), (9, b"nothing")):
        path = tmp_path / f"checkpoint-{step:08d}.pt"
        path.write_bytes(hashlib.sha256(payload).digest() + payload)
    assert checkpoint.resume(tmp_path, {"model": net}, "key") == 5
    assert not any(trap.exists() for trap in traps)
    assert capsys.readouterr().err.count("passed over") == 3
    torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)  # the trap is one
    assert traps[0].exists()


def _coco(root: Path) -> None:
    drawn = {"image_id": 1, "category_id": 1, "segmentation": square(2, 2, 12)}
    make_coco(root, dict(enumerate(NAMES, 1)), {"train": [drawn], "val": [drawn]}, "2014")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
@pytest.mark.parametrize(("make", "dataset"), [
    (make_voc, "voc"), (make_camvid, "camvid"), (make_camvid, "camvid_half"), (make_cityscapes, "cityscapes"),
    (make_imagenet, "imagenet"), (_coco, "coco"),
])  # fmt: skip
def test_a_data_root_is_never_written_to(tmp_path: Path, make: Callable[[Path], object], dataset: str) -> None:
    """Every split decoded: the same files, bytes and times as before, and no new name."""
    root = tmp_path / "data"
    root.mkdir()
    make(root)
    before = _snapshot(root)
    for split in dataset_info.get(dataset).images:
        try:
            store = open_store(load(dataset, split, root), tmp_path / "cache")
        except ValueError:
            continue  # a split that this small copy lacks
        assert not store.image(0).flags.writeable
    assert list((tmp_path / "cache").glob("*/index.npz"))
    assert _snapshot(root) == before


def _snapshot(root: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path.relative_to(root)): (
            path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        )
        for path in sorted(root.rglob("*"))
    }  # fmt: skip


FULL = """
import resource, sys
from pathlib import Path
from tests.support.short_runs import differences, execute, job, place
task, where = job(40), place(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[4]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    execute(task, where)
except ValueError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="file size limits")
@pytest.mark.parametrize("seconds", ["0", "inf"])
def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path, cache: Path, seconds: str) -> None:
    """No checkpoint fits, or no weights: a sentence, the log whole; with room again the run ends with the same bits."""
    where, whole, task = place(tmp_path / "full", cache), place(tmp_path / "whole", cache, 1e9), job(40)
    execute(task, whole)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", FULL, where.runs, cache]
    done = subprocess.run([*words, "4096", seconds], env=env, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    assert "cannot be written" in done.stdout
    assert not list((where.work / task.name).glob("*.partial"))
    assert execute(task, where).status == "ok"
    assert differences(record(where, task), record(whole, task)) == []


def test_a_log_is_trimmed_without_being_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk refuses the trimmed log, the old one stays."""
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 10, "seconds": 1.0}\n{"step": 20, "seconds": 2.0}\n{"step": 3', encoding="utf-8")
    before = log.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(CheckpointError, match="No space left"):
        Curve(log, None).cut(10)
    assert log.read_bytes() == before
    monkeypatch.undo()
    assert Curve(log, None).cut(10) == 1.0
    assert log.read_text(encoding="utf-8") == '{"step": 10, "seconds": 1.0}\n'


def _repro(cwd: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-m", "repro", *words], cwd=cwd, env=env, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["file", "read-only"])
def test_a_folder_that_cannot_be_written_is_said_before_anything_runs(tmp_path: Path, kind: str) -> None:
    """One sentence and exit code 2: a file in the folder's place, or a system that refuses even root."""
    runs = Path("/sys/runs") if kind == "read-only" else tmp_path / "runs"
    if kind == "file":
        runs.write_text("")
    elif not runs.parent.is_dir():
        pytest.skip("no /sys here")
    done = _repro(tmp_path, "run", "table2", "--steps", "3", "--only", "gcn-k3", "--runs", str(runs))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert {"file": "is a file", "read-only": "cannot be written"}[kind] in done.stderr
    assert "--runs" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("word", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_interrupted_while_data_is_built_nothing_is_left_aside(tmp_path: Path, word: str) -> None:
    """The command ends by the signal's number, without a trace; the cache holds no half of a store."""
    number = signal.Signals[word]
    if word == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("these tests run under nohup")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "REPRO_CACHE": str(tmp_path / "cache")}
    words = [sys.executable, "-m", "repro", "run", "table2", "--steps", "3", "--only", "gcn-k3", "--jobs", "1"]
    process = subprocess.Popen(
        words, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline = time.monotonic() + 200
    while not list((tmp_path / "cache").glob(".*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 128 + number, said
    assert "Traceback" not in said
    assert list((tmp_path / "cache").glob(".*")) == []


def test_a_loss_that_is_not_finite_shows_as_diverged(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record with status, step and last finite loss; the table says diverged and shows no score."""
    monkeypatch.setattr(optimizer, "rate", lambda *_: 1e30)
    where = place(tmp_path / "runs", cache)
    done = execute(job(3), where)
    assert done.status == "diverged"
    assert "not finite at step" in done.message
    shown = _repro(tmp_path, "run", "table2", "--steps", "3", "--only", "gcn-k3", REPRO_CACHE=str(cache))
    assert shown.returncode == 0, shown.stderr
    assert "diverged" in shown.stdout
    status = _repro(tmp_path, "status", "table2")
    assert f"diverged: {job(3).name}" in status.stdout
