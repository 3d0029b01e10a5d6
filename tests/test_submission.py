"""Submissions: read back as written, and refused where a server would refuse or misread them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cityscapesscripts.helpers.labels import trainId2label
from data_files import Bytes, make_cityscapes, make_voc, noise
from PIL import Image

from repro.config.errors import SubmissionError
from repro.data import load
from repro.data.palette import VOC_PALETTE, png_bytes
from repro.evaluation.submission import check_cityscapes, check_voc, image_sizes, write_cityscapes, write_voc

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
