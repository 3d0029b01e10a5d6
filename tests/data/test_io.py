"""Lists of images as people write them, and the files of a folder as desktops leave them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from repro.cli import data
from repro.config.errors import DataError
from repro.data import load
from repro.data.io import list_folder, read_list
from tests.support.data_files import add_augmented, make_voc, save_mask, voc_mask

MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    "content",
    [
        b"a\nb\n",
        b"a\nb",
        b"a\r\nb\r\n",
        b"a\rb\r",
        b"\n  a \n\n\tb\n\n",
        MARK + b"a\nb\n",
        b"a\n" + MARK + b"b\n",
        "a\nb\n".encode("utf-16"),
        b"a.png\nb.PNG\n",
        b"a.jpg\nb.jpeg\n",
        b"JPEGImages/a.jpg\n/VOC2012/JPEGImages/b.jpg\n",
        b"JPEGImages\\a.jpg\r\nJPEGImages\\b.jpg\r\n",
        b"/JPEGImages/a.jpg /SegmentationClassAug/a.png\n/JPEGImages/b.jpg /SegmentationClassAug/b.png\n",
        b"a.jpg a.png\nb.jpg\tb.png\n",
    ],
)
def test_a_list_is_read_however_it_is_written(tmp_path: Path, content: bytes) -> None:
    """Marks, line ends, endings, folders and pairs of paths say the same two images."""
    add_augmented(home := make_voc(tmp_path))
    (home / "ImageSets/Segmentation/trainaug.txt").write_bytes(content)
    assert read_list(home / "ImageSets/Segmentation/trainaug.txt") == ("a", "b")
    assert load("voc", "trainaug", tmp_path).ids == ("a", "b")


@pytest.mark.parametrize(
    ("content", "line", "shown"),
    [
        (b"a b", 1, "'a b'"),
        (b"a\nb c\n", 2, "'b c'"),
        (b"a\nb -1\n", 2, "'b -1'"),
        (b"a\n\na,b\n", 3, "'a,b'"),
        (b'"a"\nb', 1, "'\"a\"'"),
        (b"/JPEGImages/a.jpg /SegmentationClass/b.png", 1, "'/JPEGImages/a.jpg /SegmentationClass/b.png'"),
        (b"a\nb\x00", 2, r"'b\\x00'"),
        ("a\nb\u200b".encode(), 2, r"'b\\u200b'"),
    ],
)
def test_what_is_no_name_is_refused_with_its_line(tmp_path: Path, content: bytes, line: int, shown: str) -> None:
    """Two ids on a line are not one image; number and content of the line are said."""
    path = tmp_path / "val.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"val\.txt, line {line}: {shown} is not the name of one image"):
        read_list(path)


def test_a_name_with_dots_keeps_them(tmp_path: Path) -> None:
    """Only known endings are taken off."""
    (tmp_path / "x.txt").write_text("a.v2\n2008.01.png\n")
    assert read_list(tmp_path / "x.txt") == ("a.v2", "2008.01")


@pytest.mark.parametrize("content", [b"a\nb\n", MARK + b"a\nb", b"a.png\r\nb.png\r\n", b"/SegmentationClass/a.png\nb"])
def test_masks_are_left_out_by_any_such_list(tmp_path: Path, content: bytes) -> None:
    """Of three, one is left."""
    home = make_voc(tmp_path)
    (tmp_path / "x.txt").write_bytes(content)
    assert list(data.masks(home / "SegmentationClass", None, tmp_path / "x.txt")) == ["c"]
    assert list(data.masks(home / "SegmentationClass", tmp_path / "x.txt", None)) == ["a", "b"]


def test_a_name_that_is_not_found_is_said(tmp_path: Path) -> None:
    """In words and in JSON; where none of them is found the list is another folder's, and refused."""
    home = make_voc(tmp_path)
    (tmp_path / "x.txt").write_text("a\nz\ny\n")
    for as_json in (True, False):
        out = Console(record=True, file=io.StringIO(), width=200)
        data.show_boundary(out, home / "SegmentationClass", None, tmp_path / "x.txt", 3, as_json=as_json)
        text = out.export_text()
        if as_json:
            assert json.loads(text)["not_found"] == ["z", "y"]
        else:
            assert f"not found: z and 1 more of {tmp_path / 'x.txt'}" in text
    (tmp_path / "x.txt").write_text("y\n")
    with pytest.raises(DataError, match=r"x\.txt: none of its 1 names is a mask of .*SegmentationClass, 'y' first"):
        data.masks(home / "SegmentationClass", None, tmp_path / "x.txt")


JUNK = ("._a.png", ".DS_Store", "Thumbs.db", "desktop.ini", "a.png~", "a.png.bak", "b.txt", "README")


def test_what_desktops_leave_behind_is_passed_over(tmp_path: Path) -> None:
    """In every folder of a data set."""
    home = make_voc(tmp_path)
    for folder in (home / "JPEGImages", home / "SegmentationClass"):
        for name in JUNK:
            (folder / name).write_bytes(b"junk")
        (folder / "a.d").mkdir()
        assert set(list_folder(folder)) <= set("abcdef")
    data = load("voc", "train", tmp_path)
    assert (data.read(0)[1] == voc_mask(0)).all()


@pytest.mark.parametrize(("folder", "twin"), [("JPEGImages", "a.tif"), ("SegmentationClass", "a.TIFF")])
def test_two_files_of_one_name_are_refused(tmp_path: Path, folder: str, twin: str) -> None:
    """Neither wins in silence."""
    home = make_voc(tmp_path)
    save_mask(voc_mask(9), home / folder / twin)
    first = "a.jpg" if folder == "JPEGImages" else "a.TIFF"
    with pytest.raises(DataError, match=rf"{folder} holds {first} and .*, two files of one name; remove the wrong one"):
        load("voc", "train", tmp_path)
