"""Submissions: read back as written, and refused where a server would refuse or misread them."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cityscapesscripts.helpers.labels import trainId2label
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from repro.config.errors import SubmissionError
from repro.data import load
from repro.data.palette import VOC_PALETTE, png_bytes
from repro.evaluation.submission import check_cityscapes, check_voc, image_sizes, write_cityscapes, write_voc
from tests.support.data_files import Bytes, make_cityscapes, make_voc, noise

SIZES = {"a": (12, 16), "b": (7, 30)}
VOC = {name: noise(i, *size, top=21) for i, (name, size) in enumerate(SIZES.items())}
CITY = {name: noise(i, *size, top=19) for i, (name, size) in enumerate(SIZES.items())}
FOLDER = "results/VOC2012/Segmentation/comp6_test_cls"


def test_voc_reads_back(tmp_path: Path) -> None:
    """Names, sizes, palette and every pixel."""
    path = write_voc(VOC.items(), SIZES, tmp_path / "out/voc.tar.gz")
    with tarfile.open(path, "r:gz") as archive:
        assert archive.getnames() == [f"{FOLDER}/a.png", f"{FOLDER}/b.png"]
        for name, labels in VOC.items():
            file = archive.extractfile(f"{FOLDER}/{name}.png")
            assert file is not None
            image = Image.open(io.BytesIO(file.read()))
            assert np.array_equal(np.asarray(image), labels)
            assert image.mode == "P"
            colours = np.asarray(image.convert("RGB"))
            assert np.array_equal(colours, np.array(VOC_PALETTE, np.uint8)[labels])
    assert [p.name for p in path.parent.iterdir()] == ["voc.tar.gz"]


def test_cityscapes_reads_back(tmp_path: Path) -> None:
    """Label ids of every pixel, in files named after the images."""
    path = write_cityscapes(CITY.items(), SIZES, tmp_path / "city.zip")
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["a_leftImg8bit.png", "b_leftImg8bit.png"]
        for name, labels in CITY.items():
            image = Image.open(io.BytesIO(archive.read(f"{name}_leftImg8bit.png")))
            slow = [[trainId2label[v].id for v in row] for row in labels.tolist()]
            assert np.asarray(image).tolist() == slow
            assert image.mode == "L"


def test_sizes_are_the_images_own(tmp_path: Path) -> None:
    """What must be predicted is read off the images of the split."""
    make_voc(tmp_path)
    make_cityscapes(tmp_path)
    assert image_sizes(load("voc", "test", tmp_path)) == {"d": (12, 16)}
    assert image_sizes(load("cityscapes", "test", tmp_path)) == {"berlin_0_4": (16, 32)}


def spoil(predictions: dict[str, Bytes], **changes: Bytes | None) -> list[tuple[str, Bytes]]:
    """Return predictions with some replaced, added or (None) left out."""
    return [(name, labels) for name, labels in {**predictions, **changes}.items() if labels is not None]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"b": None}, r"1 of the test set's images have no prediction, the first is b"),
        ({"c": VOC["a"]}, r"c\.png is no image of the test set"),
        ({"b": VOC["a"]}, r"b\.png is 12x16 but its image is 7x30"),
        ({"a": np.full((12, 16), 21, np.uint8)}, r"a\.png holds label 21; VOC's server takes 0 to 20"),
        ({"a": np.full((12, 16), 255, np.uint8)}, r"a\.png holds label 255"),
    ],
)
def test_wrong_voc_predictions_are_refused(tmp_path: Path, changes: dict[str, Bytes | None], words: str) -> None:
    """Nothing is written where the server would refuse it."""
    with pytest.raises(SubmissionError, match=words):
        write_voc(spoil(VOC, **changes), SIZES, tmp_path / "voc.tar.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"b": None}, "have no prediction, the first is b"),
        ({"b": CITY["a"]}, r"b_leftImg8bit\.png is 12x16 but its image is 7x30"),
        ({"a": np.full((12, 16), 19, np.uint8)}, "holds id 0, no label id of the 19 classes"),
    ],
)
def test_wrong_cityscapes_predictions_are_refused(tmp_path: Path, changes: dict[str, Bytes | None], words: str) -> None:
    """Missing, of another size, outside the classes."""
    with pytest.raises(SubmissionError, match=words):
        write_cityscapes(spoil(CITY, **changes), SIZES, tmp_path / "city.zip")
    assert list(tmp_path.iterdir()) == []


def tar_of(path: Path, make: Callable[[Bytes], bytes]) -> Path:
    """Write VOC's archive by other means."""
    with tarfile.open(path, "w:gz") as archive:
        for name, labels in VOC.items():
            data = make(labels)
            member = tarfile.TarInfo(f"{FOLDER}/{name}.png")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def colours(labels: Bytes) -> bytes:
    """Return an RGB PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.array(VOC_PALETTE, np.uint8)[labels]).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(labels: Bytes) -> bytes:
    """Return a JPEG file, whose ids are not those that were written."""
    buffer = io.BytesIO()
    Image.fromarray(labels).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize("make", [png_bytes, colours, lambda labels: png_bytes(labels, VOC_PALETTE[::-1])])
def test_a_wrong_palette_is_refused(tmp_path: Path, make: Callable[[Bytes], bytes]) -> None:
    """Grey ids, colours, and other colours."""
    with pytest.raises(SubmissionError, match="has no palette of VOC's colours"):
        check_voc(tar_of(tmp_path / "x.tar.gz", make), SIZES)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (png_bytes, "train ids must be turned back"),
        (lambda labels: png_bytes(np.choose(labels % 4, [7, 11, 12, 13]).astype(np.uint8)), "these are train ids"),
        (lambda labels: png_bytes(labels, VOC_PALETTE), "is not an 8-bit grey PNG"),
        (lambda labels: png_bytes(labels)[:50], "cannot be read"),
        (jpeg, "is a JPEG file by its content"),
    ],
)
def test_train_ids_are_refused(tmp_path: Path, make: Callable[[Bytes], bytes], words: str) -> None:
    """The server wants label ids; train ids would score next to nothing."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name, labels in CITY.items():
            archive.writestr(f"{name}_leftImg8bit.png", make(labels))
    with pytest.raises(SubmissionError, match=words):
        check_cityscapes(tmp_path / "x.zip", SIZES)


def test_an_archive_cut_short_is_refused(tmp_path: Path) -> None:
    """An upload that stopped half way."""
    voc = write_voc(VOC.items(), SIZES, tmp_path / "voc.tar.gz")
    voc.write_bytes(voc.read_bytes()[:300])
    with pytest.raises(SubmissionError, match=r"is not a whole tar\.gz archive"):
        check_voc(voc, SIZES)
    (tmp_path / "x.zip").write_bytes(b"PK no zip")
    with pytest.raises(SubmissionError, match="is not a whole zip archive"):
        check_cityscapes(tmp_path / "x.zip", SIZES)


@pytest.mark.parametrize("validate", [check_voc, check_cityscapes])
def test_an_archive_that_is_not_there_is_named(tmp_path: Path, validate: Callable[..., None]) -> None:
    """A path typed wrongly, or a folder."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(SubmissionError, match=f"{path} cannot be read"):
            validate(path, SIZES)


@pytest.mark.parametrize("at", range(40, 400, 60))
def test_a_damaged_byte_is_refused(tmp_path: Path, at: int) -> None:
    """Wherever it lies in the archive, it is one sentence."""
    path = write_voc(VOC.items(), SIZES, tmp_path / "voc.tar.gz")
    damaged = bytearray(path.read_bytes())
    damaged[at] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(SubmissionError):
        check_voc(path, SIZES)


def test_names_outside_the_folder_are_refused(tmp_path: Path) -> None:
    """A file at another place is as good as missing."""
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        data = png_bytes(VOC["a"], VOC_PALETTE)
        member = tarfile.TarInfo("a.png")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    with pytest.raises(SubmissionError, match=r"a\.png is no image of the test set"):
        check_voc(tmp_path / "x.tar.gz", SIZES)


def _voc(tmp_path: Path) -> Path:
    return write_voc(VOC.items(), SIZES, tmp_path / "voc.tar.gz")


def _tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: Any = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for member, data in members:
            member.size = len(data) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(data))
    return path


def _repacked(path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as archive:
        return [(member, archive.extractfile(member).read()) for member in archive]  # type: ignore[union-attr]


def test_every_cut_of_a_tar_is_refused(tmp_path: Path) -> None:
    """Also behind the last member, in the end mark and in gzip's checksum, where tarfile reads no further."""
    whole = _voc(tmp_path).read_bytes()
    for cut in (1, 4, 8, 9, 12, 20, 30, 40, len(whole) // 2, len(whole) - 20, len(whole) - 3, len(whole)):
        (tmp_path / "cut").write_bytes(whole[: len(whole) - cut])
        with pytest.raises(SubmissionError) as said:
            check_voc(tmp_path / "cut", SIZES)
        assert len(str(said.value).splitlines()) == 1
    for where in range(0, len(whole), max(1, len(whole) // 60)):
        flipped = bytearray(whole)
        flipped[where] ^= 0x10
        (tmp_path / "flipped").write_bytes(flipped)
        with suppress(SubmissionError):  # a flip in gzip's header (time, name) changes nothing
            check_voc(tmp_path / "flipped", SIZES)


def test_an_end_that_a_tar_lacks_is_missed(tmp_path: Path) -> None:
    """Cut before it was packed: gzip is whole, tarfile content with what there is; so are bytes behind the end."""
    content = gzip.decompress(_voc(tmp_path).read_bytes())
    end = len(content.rstrip(b"\0")) // 512 * 512 + 512
    for data in (content[:end], content[: end + 100], content + b"more"):
        (tmp_path / "odd.tar.gz").write_bytes(gzip.compress(data))
        with pytest.raises(SubmissionError, match="its end is missing"):
            check_voc(tmp_path / "odd.tar.gz", SIZES)
    (tmp_path / "odd.tar.gz").write_bytes(gzip.compress(content[: end + 512]))
    check_voc(tmp_path / "odd.tar.gz", SIZES)


@pytest.mark.parametrize(("mode", "kind"), [("w:", "tar"), ("w:xz", "xz"), ("w:bz2", "bzip2")])
def test_another_compression_under_the_same_name_is_refused(tmp_path: Path, mode: str, kind: str) -> None:
    """The server unpacks gzip."""
    path = _tar(tmp_path / "other.tar.gz", _repacked(_voc(tmp_path)), mode)
    with pytest.raises(SubmissionError, match=f"is a {kind} file by its content, not a tar.gz"):
        check_voc(path, SIZES)
    with pytest.raises(SubmissionError, match="by its content, not a zip archive"):
        check_cityscapes(path, SIZES)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_an_archive_are_refused(tmp_path: Path, kind: bytes) -> None:
    """Under a name of the test set or another; escapes in it are written out. Folders are no fault."""
    members = _repacked(_voc(tmp_path))
    odd = tarfile.TarInfo("\x1b[2Jlink")
    odd.type, odd.linkname = kind, f"{FOLDER}/a.png"
    with pytest.raises(SubmissionError, match=r"\\x1b\[2Jlink is a link or a device"):
        check_voc(_tar(tmp_path / "odd.tar.gz", [*members, (odd, b"")]), SIZES)
    folder = tarfile.TarInfo("results")
    folder.type = tarfile.DIRTYPE
    check_voc(_tar(tmp_path / "folder.tar.gz", [(folder, b""), *members]), SIZES)


def test_a_link_in_a_zip_and_an_encrypted_one_are_refused(tmp_path: Path) -> None:
    """By the mode that Unix keeps there; by the flag."""
    link = zipfile.ZipInfo("a_leftImg8bit.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "target")
    with pytest.raises(SubmissionError, match="is a link or a device"):
        check_cityscapes(tmp_path / "link.zip", SIZES)
    data = bytearray(write_cityscapes(CITY.items(), SIZES, tmp_path / "city.zip").read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(mark) + at] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    with pytest.raises(SubmissionError, match=r"not a whole zip archive .*encrypted"):
        check_cityscapes(tmp_path / "locked.zip", SIZES)


@pytest.mark.skipif(sys.platform == "win32", reason="FIFOs")
@pytest.mark.parametrize("validate", [check_voc, check_cityscapes])
def test_a_fifo_is_not_waited_for(tmp_path: Path, validate: Callable[..., None]) -> None:
    """Nor is a device read."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(SubmissionError, match="not a regular file"):
            validate(path, SIZES)


def test_a_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """A member of 300 MB of zeros, as an image and as a header; the same in a zip."""
    many = 300 << 20
    image, header = tarfile.TarInfo(f"{FOLDER}/a.png"), tarfile.TarInfo("header")
    header.type = tarfile.XHDTYPE
    image.size = header.size = many
    for member, said in ((image, "more than a label map"), (header, "a header that asks for")):
        with gzip.open(tmp_path / "bomb.tar.gz", "wb", compresslevel=1) as file:
            file.write(member.tobuf(tarfile.USTAR_FORMAT))
            for _ in range(many >> 20):
                file.write(bytes(1 << 20))
        tracemalloc.start()
        with pytest.raises(SubmissionError, match=said):
            check_voc(tmp_path / "bomb.tar.gz", SIZES)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 50 << 20
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a_leftImg8bit.png", bytes(many >> 4))
    with pytest.raises(SubmissionError, match="more than a label map"):
        check_cityscapes(tmp_path / "bomb.zip", SIZES)


def test_a_png_of_another_size_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its head is enough: 30,000 pixels a side would take 900 MB."""
    huge = png_bytes(np.zeros((3000, 3000), np.uint8), VOC_PALETTE)
    monkeypatch.setattr(PngImageFile, "load", None)
    member = tarfile.TarInfo(f"{FOLDER}/a.png")
    with pytest.raises(SubmissionError, match="3000x3000 but its image is"):
        check_voc(_tar(tmp_path / "huge.tar.gz", [(member, huge)]), SIZES)
