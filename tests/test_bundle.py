"""A bundle: the same bytes for the same plan, parts that are checked, runs that come back, merges of all or nothing."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simulate
from data_files import make_camvid
from numpy.typing import NDArray
from rich.console import Console
from safetensors.torch import load_file

import repro
from repro.cli import bundle, predict
from repro.cli.options import Request
from repro.config import profiles
from repro.config.errors import BundleError
from repro.config.experiment import Job
from repro.config.identity import suffix
from repro.config.machine import Machine
from repro.results import records
from repro.results.records import Record, RecordStore
from repro.results.scores import Scores
from repro.runner.bundle import archive, make, packages, run, units, unpacking
from repro.runner.bundle import device as devices
from repro.runner.bundle.make import Made
from repro.runner.bundle.manifest import NAME
from repro.runner.bundle.merge import merge
from repro.runner.bundle.priority import ordered
from repro.runner.bundle.results import SUMS, Results, half
from repro.runner.launchers import Budget, Ended

ROOT = Path(__file__).parent.parent
OPTIONAL = (
    "pydensecrf", "scipy", "pandas", "matplotlib", "pycocotools", "seaborn", "fvcore", "torchvision", "pooch",
    "requests", "jinja2", "cityscapesscripts", "ray",
)  # fmt: skip
"""What a machine without network need not have."""
WEIGHTS = 3_000_000
GPU = {"device": "NVIDIA H100 80GB HBM3"}


def _jobs(table: str, profile: str = "shapes", seeds: int = 1, steps: int = 3) -> tuple[Job, ...]:
    return Request((table,), profile, seeds, steps, "", Path("nowhere")).plan(RecordStore(())).jobs


@pytest.fixture
def camvid(tmp_path: Path, cache: Path) -> Machine:
    """A data root in CamVid's layout and a file in the place of weights, which nobody reads."""
    root = tmp_path / "data"
    make_camvid(root)
    weights = tmp_path / "resnet50.safetensors"
    weights.write_bytes(np.random.default_rng(0).bytes(WEIGHTS))
    return Machine(runs=tmp_path / "runs", cache=cache, data_root=root, weights=weights)


def _camvid_bundle(place: Machine, target: Path, part_size: int | None = None) -> Made:
    jobs = ordered(job for job in _jobs("1-5", "camvid_short", seeds=2) if "gcn-k3" in job.name or "base" in job.name)
    return make.make(jobs, place, RecordStore(()), target, part_size)


def _names(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return tar.getnames()


# Made ---------------------------------------------------------------------------------------------------------------


def test_the_same_plan_gives_the_same_bytes(camvid: Machine, tmp_path: Path) -> None:
    """Whenever it is made and whatever the times of the files: names in order, no owner, no clock."""
    one = _camvid_bundle(camvid, tmp_path / "one.tar").archives[0]
    for path in (tmp_path / "data").rglob("*.png"):
        os.utime(path, (1, 1))
    two = _camvid_bundle(camvid, tmp_path / "two.tar").archives[0]
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as tar:
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime, m.mode) for m in tar} == {(0, 0, "", "", 0, 0o644)}


def test_a_bundle_holds_the_planned_splits_alone(camvid: Machine, tmp_path: Path) -> None:
    """Code and commit, training and validation images with their masks, the weights; not the test images."""
    made = _camvid_bundle(camvid, tmp_path / "b.tar")
    names = _names(made.archives[0])
    data = [name for name in names if name.startswith("data/")]
    assert sorted(data) == sorted(
        f"data/camvid/{split}{kind}/{split}{i}.png"
        for split, count in (("train", 2), ("val", 1))
        for kind in ("", "annot")
        for i in range(count)
    )
    assert names[0] == NAME
    assert {"repro/COMMIT", "repro/paper/printed.toml", "repro/cli/app.py", "weights/resnet50.safetensors"} <= set(
        names
    )
    assert not [name for name in names if "runs" in name.split("/") or name.startswith("tests")]
    assert [split.name for split in made.manifest.splits] == ["camvid/train", "camvid/val"]
    assert [(job.seed, job.run.slug) for job in made.manifest.jobs] == [
        (seed, f"camvid_short-{name}") for seed in (0, 1) for name in ("base", "gcn-k3")
    ]


@pytest.mark.parametrize("part_size", [2**21, 2**22])
def test_parts_keep_their_size_and_come_together_again(camvid: Machine, tmp_path: Path, part_size: int) -> None:
    """No part is larger than was asked for; a file larger than a part is cut and put together."""
    made = _camvid_bundle(camvid, tmp_path / "b.tar", part_size)
    assert len(made.archives) > 1
    assert all(path.stat().st_size <= part_size for path in made.archives)
    assert made.archives[0].name == f"b.1of{len(made.archives)}.tar"
    assert any(archive.PIECE in name for path in made.archives for name in _names(path)) == (part_size < WEIGHTS)
    manifest, archives = unpacking.read(made.archives)
    assert manifest == made.manifest
    found = unpacking.unpack(manifest, archives, tmp_path / "work")
    assert found.missing == ()
    assert (found.tree / "weights/resnet50.safetensors").read_bytes() == camvid.weights.read_bytes()  # type: ignore[union-attr]
    assert {file.path for file in manifest.files} == {
        path.relative_to(found.tree).as_posix() for path in found.tree.rglob("*") if path.is_file()
    }


def test_a_part_size_that_holds_nothing(camvid: Machine, tmp_path: Path) -> None:
    """It says which size is enough."""
    with pytest.raises(BundleError, match=r"--part-size of 4,096 bytes: .* give at least"):
        _camvid_bundle(camvid, tmp_path / "b.tar", 4096)


def test_a_split_that_is_another_without_its_neighbours_is_refused(camvid: Machine, tmp_path: Path) -> None:
    """camvid_half/fit is chosen from all training images: carried alone, a part of it would be held back again."""
    for i in range(2, 12):
        for kind, name in (("", "train0.png"), ("annot", "train0.png")):
            home = tmp_path / f"data/camvid/train{kind}"
            shutil.copy(home / name, home / f"train_{i:02}.png")
    job = next(job for job in _jobs("table1", "camvid_half") if job.trains)
    run = replace(job.run, train=(replace(job.run.train[0], split="fit"),))
    with pytest.raises(BundleError, match=r"camvid_half/fit: without the other files of .* it is another split"):
        make.make([Job(run, 0)], camvid, RecordStore(()), tmp_path / "b.tar")


def test_no_git_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Records must name a commit."""
    shutil.copytree(ROOT / "repro", tmp_path / "repro", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(repro, "__file__", str(tmp_path / "repro/__init__.py"))
    with pytest.raises(BundleError, match="no git checkout"):
        make._code()


# Priority and sizes --------------------------------------------------------------------------------------------------


def test_a_whole_seed_before_the_next_and_claims_first() -> None:
    """By default: base, then GCN 15, then + BR; the second seed after the last network of the first."""
    jobs = ordered(_jobs("1-5", "camvid_short", seeds=2))
    names = [(job.seed, job.run.slug.removeprefix("camvid_short-")) for job in jobs]
    assert names[:4] == [(0, "base"), (0, "gcn-k15"), (0, "gcn-k15-br"), (0, "stack-k7")]
    assert names[19] == (1, "base")
    assert len(jobs) == 38


def test_priority_moves_a_run_and_what_it_builds_on() -> None:
    """A run named first comes after its own stages and before every other one."""
    jobs = ordered(_jobs("table7"), ["gcn-k15-br-ms"])
    assert [job.name for job in jobs[:4]] == [*_chain(jobs, "shapes-gcn-k15-br-ms"), jobs[3].name]
    assert jobs[3].run.slug == "shapes-gcn-k15-br-ms"
    for i, job in enumerate(jobs):
        assert set(job.after) <= {other.name for other in jobs[:i]}


def _chain(jobs: Iterable[Job], slug: str) -> list[str]:
    by_name = {job.name: job for job in jobs}
    job = next(job for job in by_name.values() if job.run.slug == slug)
    found: list[str] = []
    while job.after:
        job = by_name[job.after[0]]
        found.insert(0, job.name)
    return found


def test_a_priority_that_is_no_run() -> None:
    """It is named, with what there is."""
    with pytest.raises(BundleError, match=r"--priority gcn-k99: no run .* choose from base, .*gcn-k15"):
        ordered(_jobs("table1"), ["gcn-k99"])


def test_sizes() -> None:
    """M is MiB."""
    assert [units.size(text, "") for text in ("60M", "500k", "2G", "1000", "16MiB")] == [
        60 * 2**20, 500 * 2**10, 2**31, 1000, 16 * 2**20,
    ]  # fmt: skip
    with pytest.raises(BundleError, match="--part-size 60X"):
        units.size("60X", "--part-size")


# Unpacked ------------------------------------------------------------------------------------------------------------


def test_a_later_part_before_the_first(camvid: Machine, tmp_path: Path) -> None:
    """Part 2 alone is refused; after part 1, in a call of its own, it completes the bundle."""
    made = _camvid_bundle(camvid, tmp_path / "b.tar", 2**22)
    one, two = made.archives
    manifest, second = unpacking.read([two])
    with pytest.raises(BundleError, match=r"b\.2of2\.tar: part 2 of 2 came before part 1"):
        unpacking.unpack(manifest, second, tmp_path / "work")
    assert unpacking.unpack(manifest, unpacking.read([one])[1], tmp_path / "work").missing == (2,)
    assert unpacking.unpack(manifest, second, tmp_path / "work").missing == ()


def test_parts_of_two_bundles(camvid: Machine, tmp_path: Path) -> None:
    """They are told apart, given together or one after the other."""
    one = _camvid_bundle(camvid, tmp_path / "one.tar", 2**22)
    jobs = ordered(job for job in _jobs("table1", "camvid_short") if "base" in job.name)
    two = make.make(jobs, camvid, RecordStore(()), tmp_path / "two.tar", 2**22)
    with pytest.raises(BundleError, match=r"two\.2of2\.tar: part of another bundle than .*one\.1of2\.tar"):
        unpacking.read([one.archives[0], two.archives[1]])
    unpacking.unpack(one.manifest, {1: one.archives[0]}, tmp_path / "work")
    with pytest.raises(BundleError, match="holds another bundle"):
        unpacking.unpack(two.manifest, {1: two.archives[0]}, tmp_path / "work")


def _edited(path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Rewrite an archive with other contents; None leaves a member out."""
    with tarfile.open(path) as tar:
        members = [(info.name, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]
    found = [(name, data) for name, old in members if (data := change(name, old)) is not None]
    archive.write_tar(
        path, ((name, len(data), io.BytesIO(data)) for name, data in found), compressed=path.suffix == ".gz"
    )
    return path


def test_a_changed_file_is_named(camvid: Machine, tmp_path: Path) -> None:
    """One byte of one mask, at the same size."""
    path = _camvid_bundle(camvid, tmp_path / "b.tar").archives[0]
    _edited(path, lambda n, d: d[:-1] + bytes([d[-1] ^ 1]) if n == "data/camvid/valannot/val0.png" else d)
    manifest, archives = unpacking.read([path])
    with pytest.raises(BundleError, match=r"valannot/val0\.png: not the file that was bundled"):
        unpacking.unpack(manifest, archives, tmp_path / "work")


def test_a_file_that_changed_after_it_was_unpacked(camvid: Machine, tmp_path: Path) -> None:
    """A part that came earlier is checked again with the next."""
    one, two = _camvid_bundle(camvid, tmp_path / "b.tar", 2**22).archives
    manifest, first = unpacking.read([one])
    tree = unpacking.unpack(manifest, first, tmp_path / "work").tree
    (tree / "data/camvid/val/val0.png").write_bytes(b"other")
    with pytest.raises(BundleError, match=r"val0\.png: not the file that was bundled"):
        unpacking.unpack(manifest, unpacking.read([two])[1], tmp_path / "work")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda n, d: d.replace(b'"seed":0', b'"seed":7') if n == NAME else d, "was changed after the bundle was made"),
        (lambda n, d: d[:100] if n == NAME else d, "cannot be read"),
        (lambda n, d: None if n == "repro/cli/app.py" else d, r"repro/cli/app\.py is missing in it"),
        (lambda n, d: None if n == NAME else d, "no part of a bundle"),
        (lambda n, d: d + b"#" if n == "repro/cli/app.py" else d, r"repro/cli/app\.py is not as its bundle\.json says"),
    ],
)
def test_damaged_bundles(
    camvid: Machine, tmp_path: Path, change: Callable[[str, bytes], bytes | None], sentence: str
) -> None:
    """Manifest edited or cut, a file left out or lengthened."""
    path = _edited(_camvid_bundle(camvid, tmp_path / "b.tar").archives[0], change)

    def unpack() -> None:
        manifest, archives = unpacking.read([path])
        unpacking.unpack(manifest, archives, tmp_path / "work")

    with pytest.raises(BundleError, match=sentence):
        unpack()


def test_an_archive_cut_short(camvid: Machine, tmp_path: Path) -> None:
    """A transfer that ended early."""
    path = _camvid_bundle(camvid, tmp_path / "b.tar").archives[0]
    path.write_bytes(path.read_bytes()[:-2_000_000])
    manifest, archives = unpacking.read([path])
    with pytest.raises(BundleError, match=r"b\.tar: damaged or no archive"):
        unpacking.unpack(manifest, archives, tmp_path / "work")
    with pytest.raises(BundleError, match=r"nothing\.tar: cannot be read \(No such file"):
        unpacking.read([tmp_path / "nothing.tar"])


def test_a_bundle_of_other_code(camvid: Machine, tmp_path: Path) -> None:
    """The commit of both is said, and the file that differs."""
    made = _camvid_bundle(camvid, tmp_path / "b.tar")
    unpacking.check_code(made.manifest)
    home = tmp_path / "repro"
    shutil.copytree(ROOT / "repro", home, ignore=shutil.ignore_patterns("__pycache__"))
    unpacking.check_code(made.manifest, home)
    (home / "training" / "loss.py").write_text("# other\n", encoding="utf-8")
    with pytest.raises(BundleError, match=rf"and the bundle of {made.manifest.commit[:12]}.*training/loss\.py differs"):
        unpacking.check_code(made.manifest, home)


def _unsafe(path: Path, info: tarfile.TarInfo, data: bytes = b"") -> Path:
    with tarfile.open(path, "w") as tar:
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return path


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "info",
    [
        _member("/etc/passwd"),
        _member("../outside"),
        _member("a/../../outside"),
        _member("link", tarfile.SYMTYPE, "/etc"),
        _member("link", tarfile.SYMTYPE, "here"),
        _member("link", tarfile.LNKTYPE, "other"),
        _member("device", tarfile.CHRTYPE),
        _member("pipe", tarfile.FIFOTYPE),
        _member("a/./b"),
        _member("C:/b"),
    ],
    ids=lambda info: f"{info.name} {info.type!r} {info.linkname}",
)
def test_unsafe_members_are_refused(tmp_path: Path, info: tarfile.TarInfo) -> None:
    """Absolute names, names that leave the folder, links, devices and pipes; nothing is written."""
    path = _unsafe(tmp_path / "bad.tar", info)
    with pytest.raises(BundleError, match="do not use this archive"):
        merge([path], tmp_path / "runs", "local")
    with pytest.raises(BundleError, match="do not use this archive"):
        unpacking.read([path])
    assert not list((tmp_path / "runs/local").iterdir())


def test_sizes_are_bounded(tmp_path: Path) -> None:
    """An archive that says it holds more than a bound is refused before it is read."""
    path = _unsafe(tmp_path / "big.tar", _member("r/record.json"), b"x" * 1000)
    with archive.opened(path) as tar, pytest.raises(BundleError, match="take more than 999 bytes"):
        list(archive.files_in(tar, path, 999))


# Run -----------------------------------------------------------------------------------------------------------------


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
    folder = simulate.write(place.local, job.run, job.seed, counts=_counts(job.seed), classes=[*"abcde"], **GPU)
    (folder / "weights.safetensors").write_bytes(b"never archived")
    return Ended(job.name, "ok", seconds=1.0)


def _how(tmp_path: Path, archives: Iterable[Path], **words: Any) -> run.How:
    return run.How(tuple(archives), tmp_path / "out", tmp_path / "work", **words)


def _quiet() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=300, highlight=False), text


def test_jobs_run_by_priority_several_on_one_gpu(camvid: Machine, tmp_path: Path, fake: type[FakeLocal]) -> None:
    """Three at a time share the only GPU; the records say the bundle's commit and come back whole."""
    made = _camvid_bundle(camvid, tmp_path / "b.tar")
    out, text = _quiet()
    assert run.run(out, _how(tmp_path, made.archives, jobs=3)) == 0
    jobs, have, launcher = fake.given
    assert jobs == made.manifest.jobs
    assert (launcher.count, launcher.gpus, have) == (3, ("0",), frozenset())
    assert launcher.place.device == "cuda"
    assert launcher.place.weights == tmp_path / "work/tree/weights/resnet50.safetensors"
    assert os.environ.pop("REPRO_COMMIT") == made.manifest.commit
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["records.tar.gz", "run.log", "summary.json"]
    names = set(_names(tmp_path / "out/records.tar.gz"))
    assert {f"{job.name}/record.json" for job in jobs} < names
    assert not [name for name in names if "weights" in name]
    assert "4 runs finished, 0 before" in text.getvalue()
    assert (tmp_path / "out/run.log").read_text() == text.getvalue()
    # Called again, nothing is left to do.
    assert run.run(out, _how(tmp_path, made.archives)) == 0
    assert "0 runs finished, 4 before" in text.getvalue()


def test_each_part_in_turn(camvid: Machine, tmp_path: Path, fake: type[FakeLocal]) -> None:
    """Part 1 is unpacked and its splits are decoded; with part 2, in a call of its own, the runs begin."""
    one, two = _camvid_bundle(camvid, tmp_path / "b.tar", 2**22).archives
    out, text = _quiet()
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
    jobs = ordered(_jobs("table7"))
    made = make.make(jobs, Machine(runs=tmp_path, cache=cache), RecordStore(()), tmp_path / "b.tar")
    monkeypatch.setattr(packages, "has_crf", lambda: False)
    out, text = _quiet()
    assert run.run(out, _how(tmp_path, made.archives)) == 0
    assert {job.name for job in jobs} - {job.name for job in fake.given[0]} == {
        job.name for job in jobs if job.run.evaluation.crf
    }
    assert "left out: 1 run (its dense CRF needs pydensecrf2, which is not installed here)" in text.getvalue()


def test_other_pixels_are_another_experiment(camvid: Machine, tmp_path: Path, fake: type[FakeLocal]) -> None:
    """A decoder that gives other pixels than where the bundle was made is refused by its versions."""
    made = _camvid_bundle(camvid, tmp_path / "b.tar")
    splits = tuple(replace(split, fingerprint="0" * 64) for split in made.manifest.splits)
    files = {file.path: tmp_path / "again/tree" / file.path for file in made.manifest.files}
    unpacking.unpack(made.manifest, {1: made.archives[0]}, tmp_path / "again")
    other = make.write(replace(made.manifest, splits=splits), dict(files), tmp_path / "other.tar", None)
    out, _ = _quiet()
    with pytest.raises(BundleError, match=r"camvid/train: .* not 000000000000, .* pillow [0-9.]+"):
        run.run(out, _how(tmp_path, other.archives))
    assert not fake.given


def test_the_limit_ends_what_runs(camvid: Machine, tmp_path: Path, fake: type[FakeLocal]) -> None:
    """One record before the limit is a result; none is a limit that was too short."""
    made = _camvid_bundle(camvid, tmp_path / "b.tar")
    fake.most = 1
    out, text = _quiet()
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
    made = _camvid_bundle(camvid, tmp_path / "b.tar")
    job = made.manifest.jobs[0]
    simulate.write(tmp_path / "work/runs/local", job.run, 7, seconds_total=900.0, **GPU)
    with pytest.raises(BundleError, match=rf"--time-limit 10:00: {job.name}, the first run, is expected to take 15:00"):
        run.run(_quiet()[0], _how(tmp_path, made.archives, limit=600.0))
    assert not fake.given


def test_more_jobs_than_memory_holds(camvid: Machine, tmp_path: Path, fake: type[FakeLocal]) -> None:
    """By what runs of the profile took on such a device; without a record, by what weights and optimizer take."""
    jobs = _camvid_bundle(camvid, tmp_path / "b.tar").manifest.jobs
    peaks = {"peak_memory_bytes": 90 * 10**9, "peak_gpu_memory_bytes": 30 * 10**9}
    simulate.write(tmp_path / "cpu", jobs[0].run, 0, **{**peaks, "peak_gpu_memory_bytes": None})
    simulate.write(tmp_path / "gpu", jobs[0].run, 0, **peaks, **GPU)
    memory = make._memory(jobs, records.load({"local": tmp_path / "cpu"}))
    assert memory["cpu"][jobs[1].run.key] == 90 * 10**9
    assert 300 * 10**6 < memory["cuda"][jobs[0].run.key] < 500 * 10**6  # ResNet-50 has 23.5 million parameters
    made = make.make(jobs, camvid, records.load({"local": tmp_path / "gpu"}), tmp_path / "m.tar")
    out, _ = _quiet()
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
        run.run(_quiet()[0], _how(tmp_path, [tmp_path / "b.tar"]))


def test_what_is_brought_must_be_a_training(camvid: Machine, tmp_path: Path, fake: type[FakeLocal]) -> None:
    """A name that no training has is said before anything runs."""
    made = _camvid_bundle(camvid, tmp_path / "b.tar")
    with pytest.raises(BundleError, match=r"--bring gcn-k15: no training .* it has base, gcn-k3"):
        run.run(_quiet()[0], _how(tmp_path, made.archives, bring=("gcn-k15",)))
    assert not fake.given


def test_records_fill_several_archives(tmp_path: Path, camvid: Machine) -> None:
    """None is larger than was asked for, and each holds whole records with their checksums."""
    made = _camvid_bundle(camvid, tmp_path / "b.tar")
    (tmp_path / "out").mkdir()
    results = Results(tmp_path / "out", made.manifest, 12_000)
    jobs = _jobs("table1", seeds=3)
    for job in jobs:
        results.add(simulate.write(tmp_path / "local", job.run, job.seed))
        results.add(tmp_path / "local" / job.name)
    found = sorted((tmp_path / "out").glob("records*.tar.gz"))
    assert len(found) > 2
    assert all(path.stat().st_size <= 12_000 for path in found)
    held = [name.split("/")[0] for path in found for name in _names(path) if name.endswith("record.json")]
    assert sorted(held) == sorted(job.name for job in jobs)


# Merge ---------------------------------------------------------------------------------------------------------------


def _counts(seed: int = 0, images: int = 6, classes: int = 5, right: int = 0) -> dict[str, NDArray[np.int64]]:
    """Return counts of one evaluation whose sums agree; ``right`` more pixels of each image are right."""
    rng = np.random.default_rng(seed)
    label = rng.integers(50, 100, (images, classes))
    both = label // 2
    both[:, 0] += right
    distance, size = np.zeros((images, 42, 2), np.int64), np.zeros((images, 21, 2), np.int64)
    distance[:, 3] = size[:, 4] = np.stack([both.sum(axis=1), label.sum(axis=1)], axis=1)
    return {"classes": np.stack([both, label, label], axis=2), "distance": distance, "size": size}


def _record(root: Path, seed: int = 0, right: int = 0, **changes: Any) -> Path:
    """Write a record whose counts agree with one another."""
    run = profiles.get("shapes").resolve(simulate.TABLE.rows[0].cells[0].training)  # type: ignore[union-attr]
    assert run is not None
    data = {"shapes/train": "1" * 64, "shapes/test": "2" * 64}
    meta = {"counts": _counts(seed, right=right), "classes": [*"abcde"], "test_images": 6, "data": data, **changes}
    return simulate.write(root, run, seed, **meta)


def _packed(path: Path, *folders: Path, sums: bool = True) -> Path:
    """Archive records as a slot does, or as the first kit did, without checksums."""
    (path.parent / "made").mkdir(exist_ok=True)
    from repro.runner.bundle.manifest import Manifest

    results = Results(path.parent / "made", Manifest("0" * 12, (), ()))
    for folder in folders:
        results.add(folder)
    (path.parent / "made/records.tar.gz").replace(path)
    return path if sums else _edited(path, lambda name, data: None if name == SUMS else data)


def _tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("sums", [True, False])
@pytest.mark.parametrize("into", ["local", "reference"])
def test_records_are_adopted_once(tmp_path: Path, into: str, sums: bool) -> None:
    """A second merge finds them there; every byte of a record stays."""
    folders = [_record(tmp_path / "slot", seed) for seed in (0, 1)]
    path = _packed(tmp_path / "r.tar.gz", *folders, sums=sums)
    first = merge([path], tmp_path / "runs", into)
    assert sorted(p.name for p in first.adopted) == sorted(f.name for f in folders)
    assert _tree(tmp_path / "runs" / into) == _tree(tmp_path / "slot")
    assert bool(first.unsummed) != sums
    second = merge([path], tmp_path / "runs", into)
    assert (second.adopted, len(second.there)) == ([], 2)


def test_other_counts_under_a_name_are_refused_and_nothing_is_merged(tmp_path: Path) -> None:
    """The first record is new and good, the second contradicts: neither is adopted."""
    _record(tmp_path / "runs/local", 1)
    before = _tree(tmp_path / "runs")
    path = _packed(tmp_path / "r.tar.gz", _record(tmp_path / "slot", 0), _record(tmp_path / "slot", 1, right=3))
    with pytest.raises(BundleError, match=r"-s1: stands here with other counts .* nothing was merged"):
        merge([path], tmp_path / "runs", "local")
    assert _tree(tmp_path / "runs") == before
    assert [p.name for p in (tmp_path / "runs/local").iterdir()] == [next(iter(before)).split("/")[1]]


def test_a_gpu_record_stands_beside_a_cpu_record(tmp_path: Path) -> None:
    """Its difference is reported, tables pool the two as one seed, and a second merge finds it there."""
    old = _record(tmp_path / "runs/local", 0)
    path = _packed(tmp_path / "r.tar.gz", _record(tmp_path / "slot", 0, right=6, **GPU))
    done = merge([path], tmp_path / "runs", "local")
    assert done.adopted == [old.with_name(f"{old.name}-cuda")]
    pair = done.comparisons[0]
    assert (pair.devices, pair.metric) == ((GPU["device"], "test device"), "mean IoU")
    assert pair.differences == ("device type cpu there, cuda here",)
    assert 0.5 < pair.mine - pair.theirs < 5
    loaded = records.load({"local": tmp_path / "runs/local"})
    found = Scores(loaded).measure(loaded.records[0].key, "local", "miou")
    assert (found.faults, len(found.samples), len(found.other_arithmetic)) == ((), 1, 1)
    again = merge([path], tmp_path / "runs", "local")
    assert (again.adopted, len(again.there)) == ([], 1)
    other = _packed(tmp_path / "o.tar.gz", _record(tmp_path / "slot2", 0, right=9, **GPU))
    with pytest.raises(BundleError, match="-s0-cuda: stands here with other counts"):
        merge([other], tmp_path / "runs", "local")


def test_a_record_of_other_data_stands_beside(tmp_path: Path) -> None:
    """Another copy of a data set is another outcome: it takes no name that is taken, and is said to be another."""
    old = _record(tmp_path / "runs/local", 0)
    data = {"shapes/train": "1" * 64, "shapes/test": "3" * 64}
    path = _packed(tmp_path / "r.tar.gz", _record(tmp_path / "slot", 0, right=2, data=data))
    done = merge([path], tmp_path / "runs", "local")
    assert done.adopted == [old.with_name(f"{old.name}-{suffix(data)}")]
    assert done.comparisons[0].differences == ("shapes/test 22222222 there, 33333333 here",)
    assert merge([path], tmp_path / "runs", "local").there == done.adopted


def test_a_gpu_record_is_compared_with_the_reference(tmp_path: Path) -> None:
    """In another place it has its own name, and the command says how it stands beside the project's."""
    _record(tmp_path / "runs/reference", 0)
    mine = _record(tmp_path / "slot", 0, right=6, **GPU)
    path = _packed(tmp_path / "r.tar.gz", mine)
    out, text = _quiet()
    bundle.merge_bundles(out, [path], tmp_path / "runs", "local")
    assert (tmp_path / "runs/local" / mine.name / "record.json").exists()
    assert "on NVIDIA H100 80GB HBM3" in text.getvalue()
    assert "on test device (reference), +" in text.getvalue()


def test_a_retracted_record_gives_its_name(tmp_path: Path) -> None:
    """As a run would take it."""
    folder = _record(tmp_path / "runs/local", 0, right=1)
    (folder / "retracted.json").write_text('{"why": "wrong"}')
    merge([_packed(tmp_path / "r.tar.gz", _record(tmp_path / "slot", 0))], tmp_path / "runs", "local")
    assert {p.name for p in (tmp_path / "runs/local").iterdir()} == {folder.name, f"{folder.name}-retracted-1"}
    assert not (folder / "retracted.json").exists()


def _with_meta(**changes: Any) -> Callable[[str, bytes], bytes]:
    def change(name: str, data: bytes) -> bytes:
        return json.dumps(json.loads(data) | changes).encode() if name.endswith("record.json") else data

    return change


def _with_counts(edit: Callable[[dict[str, NDArray[Any]]], object]) -> Callable[[str, bytes], bytes]:
    def change(name: str, data: bytes) -> bytes:
        if not name.endswith("counts.npz"):
            return data
        counts: dict[str, NDArray[Any]] = {k: v.astype(np.int64) for k, v in np.load(io.BytesIO(data)).items()}
        edit(counts)
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, **counts)
        return stream.getvalue()

    return change


def _right_by_class(counts: dict[str, NDArray[Any]]) -> None:
    counts["classes"][0, 0, 0] -= 1


def _seen_by_size(counts: dict[str, NDArray[Any]]) -> None:
    counts["size"][2, 4, 1] += 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_with_meta(key="0123456789"), "its key 0123456789 is not that of its spec"),
        (_with_meta(seed=4), "which its folder's name denies"),
        (_with_meta(status="interrupted"), "status 'interrupted' is none that a run ends with"),
        (_with_meta(data={"shapes/test": "2" * 64}), "does not say which shapes/train it comes from"),
        (_with_meta(identity={"sources": {"shapes/train": "5", "shapes/test": "2" * 64}}), "says two things of shapes"),
        (_with_meta(test_images=7), r"counts classes have the shape \(6, 5, 3\), not \(7, 5, 3\)"),
        (_with_meta(classes=[*"abcd"]), r"not \(6, 4, 3\)"),
        (_with_meta(schema=99), "schema 99 is unknown"),
        (_with_counts(lambda c: c.pop("distance")), "counts distance are missing or unknown"),
        (_with_counts(lambda c: c.update(extra=np.zeros(3, np.int64))), "counts extra are missing or unknown"),
        (_with_counts(_right_by_class), "by class and by distance are not of the same pixels"),
        (_with_counts(_seen_by_size), "by class and by size are not of the same pixels"),
        (_with_counts(lambda c: c.update(distance=c["distance"][..., ::-1])), "a part is counted larger"),
        (lambda n, d: d[: len(d) // 2] if n.endswith("counts.npz") else d, "counts cannot be read"),
        (lambda n, d: None if n.endswith("record.json") else d, r"came without its record\.json"),
    ],
)
def test_records_that_cannot_be_trusted(
    tmp_path: Path, change: Callable[[str, bytes], bytes | None], sentence: str
) -> None:
    """Each in one sentence; a good record beside it is not adopted either."""
    path = _packed(tmp_path / "r.tar.gz", _record(tmp_path / "slot", 0), sums=False)
    good = _packed(tmp_path / "good.tar.gz", _record(tmp_path / "slot", 1))
    with pytest.raises(BundleError, match=f"{sentence}.*nothing was merged"):
        merge([good, _edited(path, change)], tmp_path / "runs", "local")
    assert list((tmp_path / "runs/local").iterdir()) == []


def test_checksums_and_foreign_files(tmp_path: Path) -> None:
    """A byte that changed on the way is named; so is a file that no record has."""
    path = _packed(tmp_path / "r.tar.gz", _record(tmp_path / "slot", 0))
    _edited(path, lambda n, d: d + b"\n" if n.endswith("record.json") else d)
    with pytest.raises(BundleError, match=r"record\.json is not as its checksum says; .* nothing was merged"):
        merge([path], tmp_path / "runs", "local")
    bad = _unsafe(tmp_path / "bad.tar", _member("shapes-gcn-k3/run.sh"), b"echo")
    with pytest.raises(BundleError, match=r"run\.sh is no file of a record"):
        merge([bad], tmp_path / "runs", "local")


def test_a_merge_that_the_disk_ends_takes_all_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second rename fails: the first record is gone again."""
    path = _packed(tmp_path / "r.tar.gz", *(_record(tmp_path / "slot", seed) for seed in (0, 1)))
    real = Path.replace

    def fails(self: Path, target: Path) -> Path:
        if target.name.endswith("-s1"):
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(BundleError, match=r"No space left on device\); nothing was merged"):
        merge([path], tmp_path / "runs", "local")
    assert list((tmp_path / "runs/local").iterdir()) == []


def test_a_bundle_is_nothing_to_merge(camvid: Machine, tmp_path: Path) -> None:
    """The archive that was sent is not the one that came back."""
    with pytest.raises(BundleError, match=r"b\.tar: a bundle to run, not what came back"):
        merge(_camvid_bundle(camvid, tmp_path / "b.tar").archives, tmp_path / "runs", "local")


# The whole way -------------------------------------------------------------------------------------------------------


def _bare(folder: Path) -> dict[str, str]:
    """Return an environment in which the optional packages cannot be imported and this checkout is not on the path."""
    folder.mkdir(exist_ok=True)
    lines = f"import sys\nfor name in {OPTIONAL!r}:\n    sys.modules[name] = None\n"
    (folder / "sitecustomize.py").write_text(lines, encoding="utf-8")
    left = {name: value for name, value in os.environ.items() if not name.startswith("REPRO_")}
    return {**left, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}


def _bundle(words: list[str], cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "repro", "bundle", *words]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300)


def test_there_and_back_with_the_required_packages_alone(tmp_path: Path) -> None:
    """Made here, run in a fresh folder, killed after its first record, run on, merged; the weights come too."""
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = ["make", "table1", "--steps", "20", "--only", "base,gcn-k3", "--out", str(tmp_path / "b.tar")]
    made = _bundle([*words, "--runs", str(tmp_path / "runs")], ROOT, here)
    assert made.returncode == 0, made.stderr
    fresh = tmp_path / "fresh"
    with tarfile.open(tmp_path / "b.tar") as tar:
        tar.extractall(fresh, [m for m in tar if m.name.startswith("repro/")], filter="data")
    env = _bare(tmp_path / "bare")
    words = ["run", "../b.tar", "--out", "out", "--work", "work", "--jobs", "1", "--device", "cpu", "--bring", "base"]
    slot = subprocess.Popen([sys.executable, "-m", "repro", "bundle", *words], cwd=fresh, env=env)
    archived = fresh / "out/records.tar.gz"
    deadline = time.monotonic() + 240
    while not archived.exists() and slot.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    slot.kill()
    slot.wait()
    first = {name.split("/")[0] for name in _names(archived) if "/" in name}
    assert len(first) == 1
    done = _bundle([*words, "--time-limit", "4m"], fresh, env)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "1 run finished, 1 before, 0 unfinished, 0 not begun, 0 left out" in done.stdout
    back = sorted(map(str, (fresh / "out").glob("*.tar*")))
    assert len(back) == 2
    merged = _bundle(["merge", *back, "--runs", str(tmp_path / "runs")], ROOT, here)
    assert merged.returncode == 0, merged.stderr
    found = records.load({"local": tmp_path / "runs/local"}).records
    assert len(found) == 2
    manifest = unpacking.read([tmp_path / "b.tar"])[0]
    assert {record.meta["git_commit"] for record in found} == {manifest.commit}
    base = next(record for record in found if "base" in record.name)
    mine = load_file(base.folder / "weights.safetensors")
    trained = load_file(fresh / "work/runs/local" / base.name / "weights.safetensors")
    assert mine.keys() == trained.keys()
    assert all(bool((mine[name] == trained[name].to(mine[name].dtype)).all()) for name in mine)
    again = _bundle(["merge", *back, "--runs", str(tmp_path / "runs")], ROOT, here)
    assert "0 records adopted, 2 there already" in again.stdout


def test_mistakes_end_with_two_and_one_sentence(camvid: Machine, tmp_path: Path) -> None:
    """Through the command: a changed bundle, a merge that contradicts, a limit that is none, click that is missing."""
    env = _bare(tmp_path / "bare") | {"PYTHONPATH": f"{tmp_path / 'bare'}{os.pathsep}{ROOT}"}
    path = _camvid_bundle(camvid, tmp_path / "b.tar").archives[0]
    _edited(path, lambda n, d: d.replace(b'"seed":0', b'"seed":7') if n == NAME else d)
    _record(tmp_path / "runs/local", 0)
    other = _packed(tmp_path / "r.tar.gz", _record(tmp_path / "slot", 0, right=2))
    for words, sentence in (
        (["run", str(path), "--out", "out"], "was changed after the bundle was made"),
        (["run", str(path), "--out", "out", "--time-limit", "soon"], "--time-limit soon: give a length of time"),
        (
            ["run", str(path), "--out", "out", "--device", "gpu"],
            "'--device': 'gpu' is not one of 'auto', 'cpu'",
        ),
        (["run", str(path), "--out", "out", "--jobs", "0"], "'--jobs': 0 is not in the range x>=1"),
        (["merge", str(other), "--runs", str(tmp_path / "runs")], "stands here with other counts"),
        (["merge", str(other), "--into", "elsewhere"], "'--into': 'elsewhere' is not one of 'local', 'reference'"),
    ):
        done = _bundle(words, tmp_path, env)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert sentence in done.stderr
    (tmp_path / "bare/sitecustomize.py").write_text("import sys\nsys.modules['click'] = None\n", encoding="utf-8")
    done = _bundle(["run", str(path), "--out", "out"], tmp_path, env)
    assert (done.returncode, done.stderr) == (
        2, "repro: click is not installed for this Python; pip install click\n",
    )  # fmt: skip


def test_weights_come_back_as_export_writes_them(tmp_path: Path) -> None:
    """float16 without torch has the bits of float16 by torch."""
    import torch
    from safetensors.torch import save_file

    folder = _record(tmp_path / "runs/local", 0)
    torch.manual_seed(0)
    tensors = {"a": torch.randn(50, 40), "n": torch.tensor(7), "large": torch.tensor([1e6, 2.0])}
    save_file(tensors, folder / "weights.safetensors")
    record = records.load({"local": tmp_path / "runs/local"}).records[0]
    (tmp_path / "mine.safetensors").write_bytes(half(folder / "weights.safetensors", record.meta))
    predict.export_weights(_quiet()[0], record.key, 0, tmp_path / "theirs.safetensors", tmp_path / "runs")
    mine, theirs = load_file(tmp_path / "mine.safetensors"), load_file(tmp_path / "theirs.safetensors")
    assert {name: value.dtype for name, value in mine.items()} == {name: value.dtype for name, value in theirs.items()}
    assert all(torch.equal(mine[name], theirs[name]) for name in tensors)


def test_weights_in_parts_join_beside_their_record(tmp_path: Path) -> None:
    """All parts or none; without their record they are refused."""
    import torch
    from safetensors.torch import save_file

    from repro.runner.bundle.manifest import Manifest

    folder = _record(tmp_path / "slot", 0)
    torch.manual_seed(0)
    save_file({"a": torch.randn(1000, 1000)}, folder / "weights.safetensors")
    record = Record(folder, json.loads((folder / "record.json").read_text()), "local")
    parts = Results(tmp_path / "out", Manifest("0" * 12, (), ()), 1_300_000).bring(record)
    assert len(parts) == 2
    assert all(path.stat().st_size <= 1_300_000 for path in parts)
    path = _packed(tmp_path / "r.tar.gz", folder)
    with pytest.raises(BundleError, match="part 2 of 2 is missing"):
        merge([path, parts[0]], tmp_path / "runs", "local")
    with pytest.raises(BundleError, match="their record is not among these archives"):
        merge(parts, tmp_path / "runs", "local")
    assert list((tmp_path / "runs/local").iterdir()) == []
    merge([path, *parts], tmp_path / "runs", "local")
    joined = tmp_path / "runs/local" / folder.name / "weights.safetensors"
    assert torch.equal(load_file(joined)["a"], load_file(folder / "weights.safetensors")["a"].half())
    shutil.rmtree(tmp_path / "runs")
    merge([path], tmp_path / "runs", "local")
    assert merge([path, *parts], tmp_path / "runs", "local").weights == [joined]
    assert merge([path, *parts], tmp_path / "runs", "local").weights == []
    save_file({"a": torch.ones(3)}, joined)
    with pytest.raises(BundleError, match="other weights stand here"):
        merge([path, *parts], tmp_path / "runs", "local")
