"""ImageNet folders: which index a folder has, and the size that images are kept at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro.config.errors import DataError
from repro.data import load
from repro.data.augment import centre_crop
from repro.data.imagenet import shrink
from tests.support.data_files import make_imagenet, noise


def test_index_is_the_line_of_the_list(tmp_path: Path) -> None:
    """labels.tsv decides: a folder of images of two classes does not renumber them."""
    make_imagenet(tmp_path)
    data = load("imagenet", "val", tmp_path)
    assert data.ids == ("n01/n01_0", "n01/n01_1", "n02/n02_0", "n02/n02_1")
    assert [data.read(i)[1] for i in range(4)] == [1, 1, 2, 2]
    assert data.classes == ("nobody", "cat", "dog")
    assert data.kind == "classification"


def test_index_without_a_list_is_the_sorted_place(tmp_path: Path) -> None:
    """Torchvision's rule."""
    make_imagenet(tmp_path, listed=False)
    data = load("imagenet", "train", tmp_path)
    assert [data.read(i)[1] for i in range(4)] == [0, 0, 1, 1]
    assert data.classes == ("n01", "n02")


@pytest.mark.parametrize("size", [(300, 400), (400, 300), (256, 256), (256, 300), (97, 333), (500, 257)])
def test_shrink_and_crop_as_torchvision(size: tuple[int, int]) -> None:
    """Short side 256 and a centre of 224, pixel for pixel what torchvision's transforms give."""
    from torchvision.transforms import v2

    image = noise(1, *size, 3)
    ours = centre_crop(shrink(image), 224, 224)
    resized = v2.functional.resize(Image.fromarray(image), [256])
    theirs = np.asarray(v2.functional.center_crop(resized, [224, 224]))
    assert np.array_equal(ours, theirs)


def test_images_are_kept_at_256(tmp_path: Path) -> None:
    """300 x 400 becomes 256 x 341; 256 x 256 is left alone."""
    make_imagenet(tmp_path)
    data = load("imagenet", "val", tmp_path)
    assert data.read(0)[0].shape == (256, 341, 3)
    assert data.read(1)[0].shape == (256, 256, 3)


def test_an_unknown_folder_is_refused(tmp_path: Path) -> None:
    """A wnid that the list lacks has no index."""
    home = make_imagenet(tmp_path)
    (home / "val/n99").mkdir()
    with pytest.raises(DataError, match=r"val/n99 is not in .*labels\.tsv"):
        load("imagenet", "val", tmp_path)


@pytest.mark.parametrize("text", ["0\tn01\n1\tn02\n", "1\tn01\ta\n0\tn02\tb\n"])
def test_a_damaged_list_is_refused(tmp_path: Path, text: str) -> None:
    """Columns missing, or indices out of order."""
    (make_imagenet(tmp_path) / "labels.tsv").write_text(text)
    with pytest.raises(DataError, match=r"labels\.tsv must hold index, wnid and name on every line"):
        load("imagenet", "val", tmp_path)


def test_a_crop_larger_than_the_image_is_refused() -> None:
    """Nothing is resized or padded behind the user's back."""
    with pytest.raises(DataError, match="an image of 90x90 has no centre of 96x96"):
        centre_crop(noise(0, 90, 90, 3), 96, 96)


def test_a_list_with_a_mark_is_read_and_one_with_a_wnid_twice_is_not(tmp_path: Path) -> None:
    """The first line keeps its index; a wnid has one class."""
    home = make_imagenet(tmp_path)
    text = (home / "labels.tsv").read_bytes()
    (home / "labels.tsv").write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    assert load("imagenet", "val", tmp_path).classes == ("nobody", "cat", "dog")
    (home / "labels.tsv").write_bytes(text.replace(b"n00", b"n01"))
    with pytest.raises(DataError, match=r"labels\.tsv lists n01 twice"):
        load("imagenet", "val", tmp_path)
    (home / "labels.tsv").write_bytes(b"0\t\xff")
    with pytest.raises(DataError, match=r"labels\.tsv cannot be read"):
        load("imagenet", "val", tmp_path)


@pytest.mark.parametrize("listed", [True, False])
def test_what_desktops_leave_behind_is_no_image_and_no_class(tmp_path: Path, listed: bool) -> None:
    """Nor does it move the order of the classes."""
    home = make_imagenet(tmp_path, listed=listed)
    for name in ("__MACOSX", ".AppleDouble"):
        for split in ("train", "val"):
            (home / split / name).mkdir()
    for name in ("Thumbs.db", "._n01_0.JPEG", "desktop.ini", ".DS_Store"):
        (home / "val/n01" / name).write_bytes(b"junk")
    data = load("imagenet", "val", tmp_path)
    assert data.ids == ("n01/n01_0", "n01/n01_1", "n02/n02_0", "n02/n02_1")
    assert [data.read(i)[1] for i in range(4)] == ([1, 1, 2, 2] if listed else [0, 0, 1, 1])
