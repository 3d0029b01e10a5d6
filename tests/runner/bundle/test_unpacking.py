"""Unpacking a bundle: parts, checksums, damaged and unsafe archives."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from repro.config.errors import BundleError
from repro.config.machine import Machine
from repro.results.records import RecordStore
from repro.runner.bundle import archive, make, units, unpacking
from repro.runner.bundle.manifest import NAME
from repro.runner.bundle.merge import merge
from repro.runner.bundle.priority import ordered
from tests.support import ROOT
from tests.support.bundles import edited, make_bundle, member, planned_jobs, tar_of_one


def test_sizes() -> None:
    """M is MiB."""
    assert [units.size(text, "") for text in ("60M", "500k", "2G", "1000", "16MiB")] == [
        60 * 2**20, 500 * 2**10, 2**31, 1000, 16 * 2**20,
    ]  # fmt: skip
    with pytest.raises(BundleError, match="--part-size 60X"):
        units.size("60X", "--part-size")


def test_a_later_part_before_the_first(camvid: Machine, tmp_path: Path) -> None:
    """Part 2 alone is refused; after part 1, in a call of its own, it completes the bundle."""
    made = make_bundle(camvid, tmp_path / "b.tar", 2**22)
    one, two = made.archives
    manifest, second = unpacking.read([two])
    with pytest.raises(BundleError, match=r"b\.2of2\.tar: part 2 of 2 came before part 1"):
        unpacking.unpack(manifest, second, tmp_path / "work")
    assert unpacking.unpack(manifest, unpacking.read([one])[1], tmp_path / "work").missing == (2,)
    assert unpacking.unpack(manifest, second, tmp_path / "work").missing == ()


def test_parts_of_two_bundles(camvid: Machine, tmp_path: Path) -> None:
    """They are told apart, given together or one after the other."""
    one = make_bundle(camvid, tmp_path / "one.tar", 2**22)
    jobs = ordered(job for job in planned_jobs("table1", "camvid_short") if "base" in job.name)
    two = make.make(jobs, camvid, RecordStore(()), tmp_path / "two.tar", 2**22)
    with pytest.raises(BundleError, match=r"two\.2of2\.tar: part of another bundle than .*one\.1of2\.tar"):
        unpacking.read([one.archives[0], two.archives[1]])
    unpacking.unpack(one.manifest, {1: one.archives[0]}, tmp_path / "work")
    with pytest.raises(BundleError, match="holds another bundle"):
        unpacking.unpack(two.manifest, {1: two.archives[0]}, tmp_path / "work")


def test_a_changed_file_is_named(camvid: Machine, tmp_path: Path) -> None:
    """One byte of one mask, at the same size."""
    path = make_bundle(camvid, tmp_path / "b.tar").archives[0]
    edited(path, lambda n, d: d[:-1] + bytes([d[-1] ^ 1]) if n == "data/camvid/valannot/val0.png" else d)
    manifest, archives = unpacking.read([path])
    with pytest.raises(BundleError, match=r"valannot/val0\.png: not the file that was bundled"):
        unpacking.unpack(manifest, archives, tmp_path / "work")


def test_a_file_that_changed_after_it_was_unpacked(camvid: Machine, tmp_path: Path) -> None:
    """A part that came earlier is checked again with the next."""
    one, two = make_bundle(camvid, tmp_path / "b.tar", 2**22).archives
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
    path = edited(make_bundle(camvid, tmp_path / "b.tar").archives[0], change)

    def unpack() -> None:
        manifest, archives = unpacking.read([path])
        unpacking.unpack(manifest, archives, tmp_path / "work")

    with pytest.raises(BundleError, match=sentence):
        unpack()


def test_an_archive_cut_short(camvid: Machine, tmp_path: Path) -> None:
    """A transfer that ended early."""
    path = make_bundle(camvid, tmp_path / "b.tar").archives[0]
    path.write_bytes(path.read_bytes()[:-2_000_000])
    manifest, archives = unpacking.read([path])
    with pytest.raises(BundleError, match=r"b\.tar: damaged or no archive"):
        unpacking.unpack(manifest, archives, tmp_path / "work")
    with pytest.raises(BundleError, match=r"nothing\.tar: cannot be read \(No such file"):
        unpacking.read([tmp_path / "nothing.tar"])


def test_a_bundle_of_other_code(camvid: Machine, tmp_path: Path) -> None:
    """The commit of both is said, and the file that differs."""
    made = make_bundle(camvid, tmp_path / "b.tar")
    unpacking.check_code(made.manifest)
    home = tmp_path / "repro"
    shutil.copytree(ROOT / "repro", home, ignore=shutil.ignore_patterns("__pycache__"))
    unpacking.check_code(made.manifest, home)
    (home / "training" / "loss.py").write_text("# other\n", encoding="utf-8")
    with pytest.raises(BundleError, match=rf"and the bundle of {made.manifest.commit[:12]}.*training/loss\.py differs"):
        unpacking.check_code(made.manifest, home)


@pytest.mark.parametrize(
    "info",
    [
        member("/etc/passwd"),
        member("../outside"),
        member("a/../../outside"),
        member("link", tarfile.SYMTYPE, "/etc"),
        member("link", tarfile.SYMTYPE, "here"),
        member("link", tarfile.LNKTYPE, "other"),
        member("device", tarfile.CHRTYPE),
        member("pipe", tarfile.FIFOTYPE),
        member("a/./b"),
        member("C:/b"),
    ],
    ids=lambda info: f"{info.name} {info.type!r} {info.linkname}",
)
def test_unsafe_members_are_refused(tmp_path: Path, info: tarfile.TarInfo) -> None:
    """Absolute names, names that leave the folder, links, devices and pipes; nothing is written."""
    path = tar_of_one(tmp_path / "bad.tar", info)
    with pytest.raises(BundleError, match="do not use this archive"):
        merge([path], tmp_path / "runs", "local")
    with pytest.raises(BundleError, match="do not use this archive"):
        unpacking.read([path])
    assert not list((tmp_path / "runs/local").iterdir())


def test_sizes_are_bounded(tmp_path: Path) -> None:
    """An archive that says it holds more than a bound is refused before it is read."""
    path = tar_of_one(tmp_path / "big.tar", member("r/record.json"), b"x" * 1000)
    with archive.opened(path) as tar, pytest.raises(BundleError, match="take more than 999 bytes"):
        list(archive.files_in(tar, path, 999))
