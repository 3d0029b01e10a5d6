"""Downloads from a server on this machine: checked, resumed, unpacked inside their folder."""

from __future__ import annotations

import hashlib
import http.server
import io
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from repro.config.dataset_info import DATASETS, Archive
from repro.config.errors import DataError
from repro.data import download
from repro.data.download import fetch, unpack
from tests.support.data_files import noise


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves bytes with ranges; ``cut`` ends the next answer early."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []
    cut: ClassVar[int] = 0

    def do_GET(self) -> None:
        """Answer with the file, or what is left of it."""
        data = self.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        wanted = self.headers.get("Range", "")
        Handler.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-") or 0)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start : start + Handler.cut] if Handler.cut else data[start:])
        Handler.cut = 0

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server of ``Handler.files`` on this machine; its address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    Handler.files, Handler.asked, Handler.cut = {}, [], 0
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()
    thread.join()


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


CONTENT = {"train/a.bin": noise(0, 300_000).tobytes(), "train/b.bin": b"b"}


def offer(server: str, data: bytes) -> tuple[Archive]:
    """Serve an archive of the data set ``coco``."""
    Handler.files["/x.zip"] = data
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return (Archive(f"{server}/x.zip", f"md5:{digest}", "coco"),)


def test_downloads_and_unpacks(server: str, tmp_path: Path) -> None:
    """The files lie where the loader looks; a second call asks the server for nothing."""
    archives = offer(server, zipped(CONTENT))
    told: list[tuple[str, int, int]] = []
    fetch("coco", tmp_path, lambda *words: told.append(words), archives)
    assert (tmp_path / "coco/train/a.bin").read_bytes() == CONTENT["train/a.bin"]
    assert told[-1] == ("x.zip", len(Handler.files["/x.zip"]), len(Handler.files["/x.zip"]))
    fetch("coco", tmp_path, archives=archives)
    assert Handler.asked == [""]


def test_goes_on_where_it_stopped(server: str, tmp_path: Path) -> None:
    """A cut connection is said; the next call asks for the rest only, and the whole is right."""
    archives = offer(server, zipped(CONTENT))
    Handler.cut = 100_000
    with pytest.raises(DataError, match=r"coco could not be downloaded to .* run it again to go on"):
        fetch("coco", tmp_path, archives=archives)
    have = (tmp_path / "archives/x.zip.part").stat().st_size
    assert 0 < have <= 100_000
    fetch("coco", tmp_path, archives=archives)
    assert Handler.asked == ["", f"bytes={have}-"]
    assert (tmp_path / "coco/train/a.bin").read_bytes() == CONTENT["train/a.bin"]
    assert not (tmp_path / "archives/x.zip.part").exists()


def test_a_wrong_checksum_is_refused(server: str, tmp_path: Path) -> None:
    """Nothing is unpacked, nothing is kept."""
    archives = offer(server, zipped(CONTENT))
    Handler.files["/x.zip"] = zipped({"train/a.bin": b"other"})
    with pytest.raises(DataError, match=r"x\.zip does not have its checksum md5:"):
        fetch("coco", tmp_path, archives=archives)
    assert not (tmp_path / "coco").exists()
    assert list((tmp_path / "archives").iterdir()) == []


def test_a_server_that_does_not_answer(server: str, tmp_path: Path) -> None:
    """No file there, and nobody there: one sentence each."""
    archives = (Archive(f"{server}/none.zip", "md5:0"),)
    with pytest.raises(DataError, match=r"could not be downloaded .*404"):
        fetch("coco", tmp_path, archives=archives)
    archives = (Archive("http://127.0.0.1:9/x.zip", "md5:0"),)
    with pytest.raises(DataError, match="coco could not be downloaded"):
        fetch("coco", tmp_path, archives=archives)


def _member(name: str, kind: bytes = tarfile.REGTYPE, to: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, to, int(kind == tarfile.REGTYPE)
    return member


def _linked(name: str) -> zipfile.ZipInfo:
    """Return a zip member that says of itself that it is a symbolic link."""
    member = zipfile.ZipInfo(name)
    member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return member


@pytest.mark.parametrize("members", [
    [_member("../evil")],
    [_member("a/../../evil")],
    [_member("link", tarfile.SYMTYPE, ".."), _member("link/evil")],
    [_member("link", tarfile.SYMTYPE, "/etc")],
    [_member("link", tarfile.LNKTYPE, "../outside")],
    [_member("device", tarfile.CHRTYPE)],
    [_member("pipe", tarfile.FIFOTYPE)],
], ids=["..", "a/../..", "through a link", "absolute link", "hard link", "device", "pipe"])  # fmt: skip
def test_a_tar_cannot_leave_its_folder(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    """Nothing is written, linked or made outside; what lies outside stays as it is."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/outside").write_bytes(b"mine")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(tmp_path / "x.tar", tmp_path / "in/here")
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["here", "outside"]
    assert (tmp_path / "in/outside").stat().st_nlink == 1
    assert list((tmp_path / "in/here").iterdir()) == []


def test_an_absolute_name_in_a_tar_stays_inside(tmp_path: Path) -> None:
    """Its root is taken for the folder."""
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.addfile(_member(f"{tmp_path}/evil"), io.BytesIO(b"x"))
    unpack(tmp_path / "x.tar", tmp_path / "in")
    assert not (tmp_path / "evil").exists()
    assert (tmp_path / "in" / str(tmp_path / "evil").lstrip("/")).read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil-at-the-root"])
def test_a_zip_cannot_leave_its_folder(tmp_path: Path, name: str) -> None:
    """Refused before anything is unpacked."""
    (tmp_path / "x.zip").write_bytes(zipped({"good": b"x", name: b"x"}))
    with pytest.raises(DataError, match="would leave"):
        unpack(tmp_path / "x.zip", tmp_path / "in/here")
    assert list((tmp_path / "in/here").iterdir()) == []
    assert not (tmp_path / "in/evil").exists()


def test_a_link_in_a_zip_is_a_file(tmp_path: Path) -> None:
    """Nothing is reached through it."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(_linked("link"), "..")
    unpack(tmp_path / "x.zip", tmp_path / "in")
    assert (tmp_path / "in/link").read_bytes() == b".."
    assert not (tmp_path / "in/link").is_symlink()


def test_a_python_that_cannot_unpack_safely_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones of 3.11 know no filter."""
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.addfile(_member("good"), io.BytesIO(b"x"))
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(DataError, match=r"3\.11\.4 or newer"):
        unpack(tmp_path / "x.tar", tmp_path / "in")


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    """With the remedy."""
    whole = zipped({"a": bytes(range(256)) * 40})
    (tmp_path / "x.zip").write_bytes(whole[:40] + b"\xff" * 20 + whole[60:])
    with pytest.raises(DataError, match=r"x\.zip cannot be unpacked"):
        unpack(tmp_path / "x.zip", tmp_path / "in")
    (tmp_path / "x.tar").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"x\.tar cannot be unpacked .*fetch it again"):
        unpack(tmp_path / "x.tar", tmp_path / "in")


@pytest.mark.parametrize("name", sorted(name for name, info in DATASETS.items() if not info.archives))
def test_what_needs_an_account_says_so(name: str, tmp_path: Path) -> None:
    """Cityscapes and ImageNet ask for an account; shapes needs no download."""
    with pytest.raises(DataError, match=f"{name} cannot be downloaded here: .*what can be: voc, coco"):
        fetch(name, tmp_path)


def test_every_data_set_can_be_fetched_or_says_why_not() -> None:
    """And every archive has a checksum."""
    for info in DATASETS.values():
        assert info.archives or info.by_hand
        for archive in info.archives:
            assert len(archive.known_hash) == len("md5:") + 32


def test_more_than_there_is_room_for_is_refused_before_it_is_read(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the disk, or of any archive: one sentence, and nothing is kept."""
    archives = offer(server, zipped(CONTENT))
    with monkeypatch.context() as patch:
        patch.setattr(download.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
        with pytest.raises(DataError, match=r"has room for 0\.0 GB; make room"):
            fetch("coco", tmp_path, archives=archives)
    monkeypatch.setattr(download, "LARGEST", 100)
    with pytest.raises(DataError, match="sends more than any archive holds"):
        fetch("coco", tmp_path, archives=archives)
    assert not list(tmp_path.rglob("*.part"))
