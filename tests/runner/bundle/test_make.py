"""Tests of repro.runner.bundle.make."""

from __future__ import annotations

import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

import repro
from repro.config.errors import BundleError
from repro.config.experiment import Job
from repro.config.machine import Machine
from repro.results.records import RecordStore
from repro.runner.bundle import archive, make, unpacking
from repro.runner.bundle.manifest import NAME
from tests.support import ROOT
from tests.support.bundles import make_bundle, names_in, planned_jobs

WEIGHTS = 3_000_000


def test_the_same_plan_gives_the_same_bytes(camvid: Machine, tmp_path: Path) -> None:
    """Whenever it is made and whatever the times of the files: names in order, no owner, no clock."""
    one = make_bundle(camvid, tmp_path / "one.tar").archives[0]
    for path in (tmp_path / "data").rglob("*.png"):
        os.utime(path, (1, 1))
    two = make_bundle(camvid, tmp_path / "two.tar").archives[0]
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as tar:
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime, m.mode) for m in tar} == {(0, 0, "", "", 0, 0o644)}


def test_a_bundle_holds_the_planned_splits_alone(camvid: Machine, tmp_path: Path) -> None:
    """Code and commit, training and validation images with their masks, the weights; not the test images."""
    made = make_bundle(camvid, tmp_path / "b.tar")
    names = names_in(made.archives[0])
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
    made = make_bundle(camvid, tmp_path / "b.tar", part_size)
    assert len(made.archives) > 1
    assert all(path.stat().st_size <= part_size for path in made.archives)
    assert made.archives[0].name == f"b.1of{len(made.archives)}.tar"
    assert any(archive.PIECE in name for path in made.archives for name in names_in(path)) == (part_size < WEIGHTS)
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
        make_bundle(camvid, tmp_path / "b.tar", 4096)


def test_a_split_that_is_another_without_its_neighbours_is_refused(camvid: Machine, tmp_path: Path) -> None:
    """camvid_half/fit is chosen from all training images: carried alone, a part of it would be held back again."""
    for i in range(2, 12):
        for kind, name in (("", "train0.png"), ("annot", "train0.png")):
            home = tmp_path / f"data/camvid/train{kind}"
            shutil.copy(home / name, home / f"train_{i:02}.png")
    job = next(job for job in planned_jobs("table1", "camvid_half") if job.trains)
    run = replace(job.run, train=(replace(job.run.train[0], split="fit"),))
    with pytest.raises(BundleError, match=r"camvid_half/fit: without the other files of .* it is another split"):
        make.make([Job(run, 0)], camvid, RecordStore(()), tmp_path / "b.tar")


def test_no_git_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Records must name a commit."""
    shutil.copytree(ROOT / "repro", tmp_path / "repro", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(repro, "__file__", str(tmp_path / "repro/__init__.py"))
    with pytest.raises(BundleError, match="no git checkout"):
        make._code()
