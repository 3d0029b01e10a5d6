"""A store that is damaged, cannot be written, or would lie in the data root."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from repro.config import dataset_info
from repro.config.errors import DataError
from repro.data import load
from repro.data.cache import INDEX, PIXELS, open_store
from tests.support.data_files import make_camvid, make_imagenet, make_voc, noise, save


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with VOC."""
    make_voc(tmp_path / "data")
    return tmp_path / "data"


def truncate(path: Path) -> None:
    """Cut a file in half."""
    os.truncate(path, path.stat().st_size // 2)


def garble(path: Path) -> None:
    """Fill a file with noise of its size."""
    path.write_bytes(noise(0, path.stat().st_size).tobytes())


@pytest.mark.parametrize(
    ("name", "damage"), [(PIXELS, truncate), (INDEX, truncate), (INDEX, garble), (PIXELS, Path.unlink)]
)
def test_a_damaged_store_is_said_and_decoded_again(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, damage: Callable[[Path], None]
) -> None:
    """Cut short, garbled or half gone: the warning says so and the store is whole again."""
    data = load("voc", "train", root)
    folder = open_store(data, tmp_path / "cache").folder
    damage(folder / name)
    with caplog.at_level(logging.WARNING):
        store = open_store(data, tmp_path / "cache")
    assert "voc/train: its store" in caplog.text
    assert store.verify()


def test_verify_notices_a_flipped_bit(root: Path, tmp_path: Path) -> None:
    """The size is right, the content is not."""
    store = open_store(load("voc", "train", root), tmp_path / "cache")
    with (store.folder / PIXELS).open("r+b") as file:
        file.seek(100)
        byte = file.read(1)[0]
        file.seek(100)
        file.write(bytes([byte ^ 1]))
    assert not open_store(load("voc", "train", root), tmp_path / "cache").verify()


def test_a_bad_image_leaves_nothing_behind(root: Path, tmp_path: Path) -> None:
    """The fault is named by path; there is no half-written store to be found later."""
    path = root / "VOCdevkit/VOC2012/JPEGImages/b.jpg"
    path.write_bytes(b"not an image")
    with pytest.raises(DataError, match=f"image {path} cannot be read"):
        open_store(load("voc", "train", root), tmp_path / "cache")
    assert [p.name for p in (tmp_path / "cache").iterdir() if p.suffix != ".lock"] == []


def test_a_cache_in_the_data_root_is_refused(root: Path) -> None:
    """A data root is only ever read."""
    with pytest.raises(DataError, match="lies in data root"):
        open_store(load("voc", "train", root), root / "cache")
    assert not (root / "cache").exists()


def test_a_cache_that_cannot_be_a_folder_is_named(root: Path, tmp_path: Path) -> None:
    """One sentence, with the remedy."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written .*name another by REPRO_CACHE"):
        open_store(load("voc", "train", root), tmp_path / "file" / "cache")


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are a POSIX matter")
def test_a_full_disk_gets_one_sentence(root: Path, tmp_path: Path) -> None:
    """A process that may write 500 bytes a file says so, and leaves nothing behind."""
    code = (
        "import resource, sys, signal; from pathlib import Path\n"
        "from repro.data import load, DataError; from repro.data.cache import open_store\n"
        "data = load('voc', 'train', Path(sys.argv[1]))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "try: open_store(data, Path(sys.argv[2]))\n"
        "except DataError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, root, tmp_path / "cache"], check=True, capture_output=True, text=True
    )
    assert "cannot be written (File too large); free space or name another by REPRO_CACHE" in done.stdout
    assert [p.name for p in (tmp_path / "cache").iterdir() if p.suffix != ".lock"] == []


def zero(path: Path, start: int, length: int) -> None:
    """Overwrite a part of a file with zeros, in place, as a disk that lost a block."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(length))


def test_opening_reads_no_pixels(root: Path, tmp_path: Path) -> None:
    """Checksums are compared image by image, each once, when it is first read."""
    store = open_store(load("voc", "trainval", root), tmp_path / "cache")
    store = open_store(load("voc", "trainval", root), tmp_path / "cache")
    assert not store.checked.any()
    store.labels(1)
    assert store.checked.tolist() == [False, True, False]
    store.check()
    assert store.checked.all()


@pytest.mark.parametrize("part", ["image", "labels", "pixels", "check"])
def test_damage_is_named_and_decoded_again(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    """Whoever reads a damaged image gets the sound one; the store on the disk is whole again."""
    data = load("voc", "trainval", root)
    folder = open_store(data, tmp_path / "cache").folder
    zero(folder / PIXELS, (3 + 1) * 12 * 16 + 5, 300)  # of the second image
    store = open_store(data, tmp_path / "cache")
    assert store.damaged() == ("b",)
    with caplog.at_level(logging.WARNING):
        if part == "pixels":
            assert store.pixels.size == 3 * 4 * 12 * 16
        elif part == "check":
            store.check()
        else:
            assert np.array_equal(getattr(store, part)(1), data.read(1)[part == "labels"])
    said = f"store {folder} is damaged: image b does not have its checksum; decoding it again from its source files"
    assert caplog.text.count(said) == 1
    assert store.verify()
    assert open_store(data, tmp_path / "cache").verify()


def test_an_image_that_is_sound_is_given_though_another_is_damaged(root: Path, tmp_path: Path) -> None:
    """The views of it stay as they were when the other is decoded again."""
    data = load("voc", "train", root)
    zero(open_store(data, tmp_path / "cache").folder / PIXELS, 4 * 12 * 16, 50)
    store = open_store(data, tmp_path / "cache")
    first = store.image(0)
    assert np.array_equal(store.image(1), data.read(1)[0])
    assert np.array_equal(first, data.read(0)[0])


def test_two_who_find_damage_decode_once(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The second finds the store of the first."""
    data = load("voc", "train", root)
    zero(open_store(data, tmp_path / "cache").folder / PIXELS, 0, 50)
    stores = [open_store(data, tmp_path / "cache") for _ in range(2)]
    with caplog.at_level(logging.WARNING):
        assert all(np.array_equal(store.image(0), data.read(0)[0]) for store in stores)
    assert caplog.text.count("decoding it again") == 1


def test_damage_without_sources_is_refused(root: Path, tmp_path: Path) -> None:
    """Nothing that is not the data is given out under its fingerprint."""
    data = load("voc", "train", root)
    zero(open_store(data, tmp_path / "cache").folder / PIXELS, 0, 50)
    store = open_store(data, tmp_path / "cache")
    (root / "VOCdevkit/VOC2012/JPEGImages/b.jpg").unlink()
    for _ in range(2):
        with pytest.raises(
            DataError, match=r"is damaged: image a .*cannot be decoded again \(the image of b is missing"
        ):
            store.image(0)


def test_damage_with_other_sources_is_refused(root: Path, tmp_path: Path) -> None:
    """The run began with other data than lies there now."""
    data = load("voc", "train", root)
    zero(open_store(data, tmp_path / "cache").folder / PIXELS, 0, 50)
    store = open_store(data, tmp_path / "cache")
    save(noise(5, 12, 16, 3), root / "VOCdevkit/VOC2012/JPEGImages/b.jpg")
    with pytest.raises(DataError, match=r"is damaged: image a .*source files have another content by now"):
        store.image(0)


def test_a_damaged_class_is_refused_with_the_index(tmp_path: Path) -> None:
    """Classes of images lie in the index, whose archive has checksums of its own."""
    make_imagenet(tmp_path / "data")
    data = load("imagenet", "val", tmp_path / "data")
    store = open_store(data, tmp_path / "cache")
    content = bytearray((store.folder / INDEX).read_bytes())
    at = content.index(b"targets.npy") + 160
    content[at] ^= 1
    (store.folder / INDEX).write_bytes(content)
    again = open_store(data, tmp_path / "cache")
    assert again.fingerprint == store.fingerprint
    assert again.verify()


def test_a_store_of_the_version_before_is_decoded_again(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It may hold the faults that its reader let pass; the fingerprint of sound data is the same."""
    data = load("voc", "train", root)
    store = open_store(data, tmp_path / "cache")
    with np.load(store.folder / INDEX) as archive:
        index = {name: archive[name] for name in archive.files if name not in {"head", "sums"}}
    np.savez(store.folder / INDEX, allow_pickle=False, schema=np.asarray(1), **index)
    with caplog.at_level(logging.WARNING):
        again = open_store(data, tmp_path / "cache")
    assert "voc/train: its store is of another version of this program; decoding it again" in caplog.text
    assert again.fingerprint == store.fingerprint


def test_another_version_is_decoded_again(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And has the fingerprint of its content."""
    store = open_store(load("voc", "train", root), tmp_path / "cache")
    before = (store.folder / INDEX).stat().st_mtime_ns
    monkeypatch.setitem(dataset_info.DATASETS, "voc", replace(dataset_info.get("voc"), version="later"))
    assert open_store(load("voc", "train", root), tmp_path / "cache").fingerprint == store.fingerprint
    assert (store.folder / INDEX).stat().st_mtime_ns != before


def test_swapped_classes_are_decoded_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two wnids of labels.tsv that change places change every class, and no picture."""
    home = make_imagenet(tmp_path / "data")
    first = open_store(load("imagenet", "val", tmp_path / "data"), tmp_path / "cache")
    text = (home / "labels.tsv").read_text()
    (home / "labels.tsv").write_text(text.replace("n01", "x").replace("n02", "n01").replace("x", "n02"))
    with caplog.at_level(logging.WARNING):
        second = open_store(load("imagenet", "val", tmp_path / "data"), tmp_path / "cache")
    assert f"the first is {home / 'labels.tsv'}" in caplog.text
    assert [int(first.labels(i)) for i in range(4)] == [1, 1, 2, 2]
    assert [int(second.labels(i)) for i in range(4)] == [2, 2, 1, 1]
    assert first.fingerprint != second.fingerprint


def test_a_root_under_another_name_has_the_same_store(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Relative, by a link, with dots: nothing is decoded again, and nothing said."""
    first = open_store(load("voc", "train", root), tmp_path / "cache")
    before = (first.folder / INDEX).stat().st_mtime_ns
    (tmp_path / "link").symlink_to(root)
    monkeypatch.chdir(tmp_path)
    names = ("data", "./data/", "link", str(tmp_path / "link"), f"{root}/../data", f"{root}//")
    with caplog.at_level(logging.WARNING):
        for name in names:
            assert open_store(load("voc", "train", Path(name)), tmp_path / "cache").folder == first.folder
        monkeypatch.chdir(root)
        assert open_store(load("voc", "train", Path()), tmp_path / "cache").folder == first.folder
    assert caplog.text == ""
    assert (first.folder / INDEX).stat().st_mtime_ns == before
    path = root / "VOCdevkit/VOC2012/JPEGImages/a.jpg"
    os.utime(path, ns=(1, 1))
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.WARNING):
        open_store(load("voc", "train", Path("data")), tmp_path / "cache")
    assert "the first is data/VOCdevkit/VOC2012/JPEGImages/a.jpg" in caplog.text


def test_fingerprints_of_sound_data_stay(tmp_path: Path) -> None:
    """Records carry them: of generated data those of the reference records, of files the ones of the first release."""
    shapes = open_store(load("shapes", "test"), tmp_path / "cache")
    assert shapes.fingerprint.startswith("7481127979693de6")
    home = make_camvid(tmp_path / "data")
    for path in home.glob("trainannot/*.png"):
        save((np.arange(108).reshape(9, 12) % 12).astype(np.uint8), path)
    for i, path in enumerate(sorted(home.glob("train/*.png"))):
        save((np.arange(324).reshape(9, 12, 3) % (100 + i)).astype(np.uint8), path)
    found = open_store(load("camvid", "train", tmp_path / "data"), tmp_path / "cache")
    assert found.fingerprint.startswith("9fe0857ad74f0190")
