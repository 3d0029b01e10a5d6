"""Running the jobs of a bundle: priorities, limits, memory, missing packages."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro.config.errors import BundleError
from repro.config.experiment import Job
from repro.config.machine import Machine
from repro.results import records
from repro.results.records import RecordStore
from repro.runner.bundle import device as devices
from repro.runner.bundle import make, packages, run, unpacking
from repro.runner.bundle.priority import ordered
from repro.runner.launchers import Budget, Ended
from tests.support import simulate
from tests.support.bundles import consistent_counts, console_to_text, make_bundle, names_in, planned_jobs

GPU = {"device": "NVIDIA H100 80GB HBM3"}


class FakeLocal:
    """A launcher that keeps what it was given, and ends jobs by writing records, or by the time limit."""

    given: tuple[Any, ...] = ()
    most = 99
    """Jobs that end before the time limit."""

    def __init__(self, count: int, place: Machine, gpus: tuple[str, ...] = (), *, budget: Budget | None = None) -> None:
        """Take what the real one takes."""
        self.count, self.place, self.gpus, self.budget = count, place, gpus, budget

    about = "at a time"

    def run(self, jobs: Iterable[Job], have: frozenset[str], watch: Callable[[str, Mapping[str, Any]], None]) -> list:
        """Report a step of each job, then its end."""
        jobs = tuple(jobs)
        FakeLocal.given = (jobs, have, self)
        for i, job in enumerate(jobs):
            if i <= self.most:
                watch(job.name, {"phase": "train", "step": 2, "steps": 3})
            limited = Ended(job.name, "interrupted" if i == self.most else "postponed")
            watch(job.name, {"ended": _write_record(job, self.place) if i < self.most else limited})
        return []


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeLocal]:
    """Run without training, on a made-up GPU."""
    device = devices.Device("NVIDIA Test", 1, 80 * 10**9, bf16=True, torch="2.11.0")

    class Asked:
        def __init__(self, wanted: str) -> None:
            pass

        def answer(self, precision: str) -> devices.Device:  # noqa: ARG002 - as the real one
            return device

    monkeypatch.setattr(run, "Local", FakeLocal)
    monkeypatch.setattr(devices, "Asked", Asked)
    monkeypatch.setattr(run, "gpus", lambda: ("0",))
    monkeypatch.delenv("REPRO_COMMIT", raising=False)
    FakeLocal.given = ()
    monkeypatch.setattr(FakeLocal, "most", 99)
    return FakeLocal


def _write_record(job: Job, place: Machine) -> Ended:
    folder = simulate.write(
        place.local, job.run, job.seed, counts=consistent_counts(job.seed), classes=[*"abcde"], **GPU
    )
    (folder / "weights.safetensors").write_bytes(b"never archived")
    return Ended(job.name, "ok", seconds=1.0)


def _how(tmp_path: Path, archives: Iterable[Path], **words: Any) -> run.How:
    return run.How(tuple(archives), tmp_path / "out", tmp_path / "work", **words)


def test_jobs_run_by_priority_several_on_one_gpu(camvid: Machine, tmp_path: Path, fake: type[FakeLocal]) -> None:
    """Three at a time share the only GPU; the records say the bundle's commit and come back whole."""
    made = make_bundle(camvid, tmp_path / "b.tar")
    out, text = console_to_text()
    assert run.run(out, _how(tmp_path, made.archives, jobs=3)) == 0
    jobs, have, launcher = fake.given
    assert jobs == made.manifest.jobs
    assert (launcher.count, launcher.gpus, have) == (3, ("0",), frozenset())
    assert launcher.place.device == "cuda"
    assert launcher.place.weights == tmp_path / "work/tree/weights/resnet50.safetensors"
    assert os.environ.pop("REPRO_COMMIT") == made.manifest.commit
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["records.tar.gz", "run.log", "summary.json"]
    names = set(names_in(tmp_path / "out/records.tar.gz"))
    assert {f"{job.name}/record.json" for job in jobs} < names
    assert not [name for name in names if "weights" in name]
    assert "4 runs finished, 0 before" in text.getvalue()
    assert (tmp_path / "out/run.log").read_text() == text.getvalue()
    # Called again, nothing is left to do.
    assert run.run(out, _how(tmp_path, made.archives)) == 0
    assert "0 runs finished, 4 before" in text.getvalue()


def test_each_part_in_turn(camvid: Machine, tmp_path: Path, fake: type[FakeLocal]) -> None:
    """Part 1 is unpacked and its splits are decoded; with part 2, in a call of its own, the runs begin."""
    one, two = make_bundle(camvid, tmp_path / "b.tar", 2**22).archives
    out, text = console_to_text()
    with pytest.raises(BundleError, match=r"nothing .* can run here: its data or weights are in part 2, .* not come"):
        run.run(out, _how(tmp_path, [one]))
    assert "camvid/train: 2 images as expected" in text.getvalue()
    assert not fake.given
    assert run.run(out, _how(tmp_path, [two])) == 0
    assert len(fake.given[0]) == 4


def test_what_needs_a_missing_package_is_left_out(
    cache: Path, tmp_path: Path, fake: type[FakeLocal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pydensecrf all but the CRF row of Table 7 runs, and the reason is said."""
    jobs = ordered(planned_jobs("table7"))
    made = make.make(jobs, Machine(runs=tmp_path, cache=cache), RecordStore(()), tmp_path / "b.tar")
    monkeypatch.setattr(packages, "has_crf", lambda: False)
    out, text = console_to_text()
    assert run.run(out, _how(tmp_path, made.archives)) == 0
    assert {job.name for job in jobs} - {job.name for job in fake.given[0]} == {
        job.name for job in jobs if job.run.evaluation.crf
    }
    assert "left out: 1 run (its dense CRF needs pydensecrf2, which is not installed here)" in text.getvalue()


def test_other_pixels_are_another_experiment(camvid: Machine, tmp_path: Path, fake: type[FakeLocal]) -> None:
    """A decoder that gives other pixels than where the bundle was made is refused by its versions."""
    made = make_bundle(camvid, tmp_path / "b.tar")
    splits = tuple(replace(split, fingerprint="0" * 64) for split in made.manifest.splits)
    files = {file.path: tmp_path / "again/tree" / file.path for file in made.manifest.files}
    unpacking.unpack(made.manifest, {1: made.archives[0]}, tmp_path / "again")
    other = make.write(replace(made.manifest, splits=splits), dict(files), tmp_path / "other.tar", None)
    out, _ = console_to_text()
    with pytest.raises(BundleError, match=r"camvid/train: .* not 000000000000, .* pillow [0-9.]+"):
        run.run(out, _how(tmp_path, other.archives))
    assert not fake.given


def test_the_limit_ends_what_runs(camvid: Machine, tmp_path: Path, fake: type[FakeLocal]) -> None:
    """One record before the limit is a result; none is a limit that was too short."""
    made = make_bundle(camvid, tmp_path / "b.tar")
    fake.most = 1
    out, text = console_to_text()
    assert run.run(out, _how(tmp_path, made.archives, limit=600.0)) == 0
    assert 500 < fake.given[2].budget.seconds < 600
    assert "1 run finished, 0 before, 1 unfinished, 2 not begun, 0 left out" in text.getvalue()
    assert f"unfinished: {made.manifest.jobs[1].name} at step 2 of 3" in text.getvalue()
    shutil.rmtree(tmp_path / "work/runs")
    fake.most = 0
    with pytest.raises(BundleError, match=r"over before the first run ended \(camvid_short-base.* step 2 of 3\)"):
        run.run(out, _how(tmp_path, made.archives, limit=600.0))
    with pytest.raises(BundleError, match="gone before the first run began"):
        run.run(out, _how(tmp_path, made.archives, limit=0.001))


def test_a_limit_that_the_first_run_will_not_keep(camvid: Machine, tmp_path: Path, fake: type[FakeLocal]) -> None:
    """By runs that ended in the same folder before; nothing is begun."""
    made = make_bundle(camvid, tmp_path / "b.tar")
    job = made.manifest.jobs[0]
    simulate.write(tmp_path / "work/runs/local", job.run, 7, seconds_total=900.0, **GPU)
    with pytest.raises(BundleError, match=rf"--time-limit 10:00: {job.name}, the first run, is expected to take 15:00"):
        run.run(console_to_text()[0], _how(tmp_path, made.archives, limit=600.0))
    assert not fake.given


def test_more_jobs_than_memory_holds(camvid: Machine, tmp_path: Path, fake: type[FakeLocal]) -> None:
    """By what runs of the profile took on such a device; without a record, by what weights and optimizer take."""
    jobs = make_bundle(camvid, tmp_path / "b.tar").manifest.jobs
    peaks = {"peak_memory_bytes": 90 * 10**9, "peak_gpu_memory_bytes": 30 * 10**9}
    simulate.write(tmp_path / "cpu", jobs[0].run, 0, **{**peaks, "peak_gpu_memory_bytes": None})
    simulate.write(tmp_path / "gpu", jobs[0].run, 0, **peaks, **GPU)
    memory = make._memory(jobs, records.load({"local": tmp_path / "cpu"}))
    assert memory["cpu"][jobs[1].run.key] == 90 * 10**9
    assert 300 * 10**6 < memory["cuda"][jobs[0].run.key] < 500 * 10**6  # ResNet-50 has 23.5 million parameters
    made = make.make(jobs, camvid, records.load({"local": tmp_path / "gpu"}), tmp_path / "m.tar")
    out, _ = console_to_text()
    with pytest.raises(BundleError, match=r"--jobs 3: a run takes about 31\.1 GB and NVIDIA Test has 80\.0 .* 2 at"):
        run.run(out, _how(tmp_path, made.archives, jobs=3))
    assert not fake.given
    assert run.run(out, _how(tmp_path, made.archives, jobs=2)) == 0


def test_devices_that_cannot_do_what_was_asked() -> None:
    """No GPU; no bf16 on a GPU; each in one sentence, and auto takes what is there."""
    old = {"torch": "2.11.0", "count": 1, "free": 10, "name": "NVIDIA V100", "bf16": False}
    none = {"torch": "2.11.0", "count": 0, "free": 0, "name": "", "bf16": False}
    with pytest.raises(BundleError, match="torch sees no CUDA device"):
        devices.chosen(none, "cuda", "auto")
    with pytest.raises(BundleError, match="NVIDIA V100 does not multiply bfloat16; use --precision 32"):
        devices.chosen(old, "cuda", "bf16")
    assert devices.chosen(old, "auto", "auto").gpus == 1
    assert devices.chosen(old, "cpu", "auto").gpus == devices.chosen(none, "auto", "32").gpus == 0


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All of them in one sentence, before anything is read."""
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(BundleError, match="filelock, lightning-fabric are not installed for this Python; pip install"):
        run.run(console_to_text()[0], _how(tmp_path, [tmp_path / "b.tar"]))


def test_what_is_brought_must_be_a_training(camvid: Machine, tmp_path: Path, fake: type[FakeLocal]) -> None:
    """A name that no training has is said before anything runs."""
    made = make_bundle(camvid, tmp_path / "b.tar")
    with pytest.raises(BundleError, match=r"--bring gcn-k15: no training .* it has base, gcn-k3"):
        run.run(console_to_text()[0], _how(tmp_path, made.archives, bring=("gcn-k15",)))
    assert not fake.given
