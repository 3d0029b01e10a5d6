"""The decoded store: exact, rebuilt when its sources change, whole or not there at all."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from repro.config.errors import DataError
from repro.data import Dataset, load
from repro.data.cache import Store, open_store
from repro.data.io import ordered
from tests.support.data_files import make_imagenet, make_voc, noise, save, save_mask, voc_mask, write_list


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with VOC; image b of another size."""
    home = make_voc(tmp_path / "data")
    save(noise(9, 7, 30, 3), home / "JPEGImages/b.jpg")
    save_mask(noise(9, 7, 30, top=21), home / "SegmentationClass/b.png")
    return tmp_path / "data"


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Return name, size and time of everything in a folder."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*"))}


def counting(data: Dataset) -> tuple[Dataset, list[int]]:
    """Return a data set that notes which images it decodes."""
    seen: list[int] = []

    def read(i: int) -> object:
        seen.append(i)
        return data.read(i)

    return replace(data, reader=read), seen  # type: ignore[arg-type]


def test_views_are_the_decoded_images(root: Path, tmp_path: Path) -> None:
    """Images of different sizes come back bit for bit, as read-only views; the data root is as it was."""
    before = tree(root)
    data = load("voc", "trainval", root)
    store = open_store(data, tmp_path / "cache")
    assert len(store) == 3
    assert store.ids == data.ids
    assert store.sizes.tolist() == [[12, 16], [7, 30], [12, 16]]
    for i in range(3):
        image, labels = data.read(i)
        assert np.array_equal(store.image(i), image)
        assert np.array_equal(store.labels(i), labels)
        assert np.shares_memory(store.image(i), store.pixels)
        assert not store.image(i).flags.writeable
    assert store.verify()
    assert tree(root) == before


def test_the_second_opening_decodes_nothing(root: Path, tmp_path: Path) -> None:
    """And gives the same fingerprint; progress is told image by image."""
    data, seen = counting(load("voc", "trainval", root))
    told: list[tuple[int, int]] = []
    first = open_store(data, tmp_path / "cache", lambda done, total: told.append((done, total)))
    assert sorted(seen) == [0, 1, 2]
    assert told == [(1, 3), (2, 3), (3, 3)]
    second = open_store(data, tmp_path / "cache")
    assert len(seen) == 3
    assert first.fingerprint == second.fingerprint
    assert len(first.fingerprint) == 64


def test_fingerprint_is_of_the_content(root: Path, tmp_path: Path) -> None:
    """Another folder or time of change leaves it; one changed pixel changes it."""
    data = load("voc", "train", root)
    first = open_store(data, tmp_path / "cache")
    os.utime(root / "VOCdevkit/VOC2012/JPEGImages/a.jpg", ns=(1, 1))
    assert open_store(data, tmp_path / "other").fingerprint == first.fingerprint
    mask = voc_mask(0)
    mask[5, 5] = (int(mask[5, 5]) + 1) % 21
    save_mask(mask, root / "VOCdevkit/VOC2012/SegmentationClass/a.png")
    assert open_store(data, tmp_path / "cache").fingerprint != first.fingerprint


def test_a_changed_source_is_said_and_decoded_again(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The changed file is named; whoever holds the old store keeps reading the old pixels."""
    data = load("voc", "train", root)
    old = open_store(data, tmp_path / "cache")
    path = root / "VOCdevkit/VOC2012/SegmentationClass/a.png"
    save_mask(np.zeros((12, 16), np.uint8), path)
    with caplog.at_level(logging.WARNING):
        new = open_store(data, tmp_path / "cache")
    assert f"1 of its source files changed since it was decoded, the first is {path}" in caplog.text
    assert not new.labels(0).any()
    assert np.array_equal(old.labels(0), voc_mask(0))


def test_a_list_in_another_order_is_decoded_again(root: Path, tmp_path: Path) -> None:
    """The same files under other numbers are another store."""
    old = open_store(load("voc", "trainval", root), tmp_path / "cache")
    write_list(root / "VOCdevkit/VOC2012", "trainval", ["a", "c", "b"])
    new = open_store(load("voc", "trainval", root), tmp_path / "cache")
    assert new.ids == ("a", "c", "b")
    assert np.array_equal(new.labels(1), old.labels(2))
    assert new.fingerprint != old.fingerprint


def test_a_source_that_is_gone_is_named(root: Path, tmp_path: Path) -> None:
    """Even where the store is whole: its images could no longer be checked."""
    data = load("voc", "train", root)
    open_store(data, tmp_path / "cache")
    path = root / "VOCdevkit/VOC2012/JPEGImages/a.jpg"
    path.unlink()
    with pytest.raises(DataError, match=f"file {path} cannot be read"):
        open_store(data, tmp_path / "cache")


def test_two_at_once_decode_once(root: Path, tmp_path: Path) -> None:
    """Threads stand for processes (the lock is per handle): one decodes, the other waits and maps its store."""
    data, seen = counting(load("voc", "trainval", root))
    stores: list[Store] = []
    threads = [threading.Thread(target=lambda: stores.append(open_store(data, tmp_path / "cache"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [0, 1, 2]
    assert {store.fingerprint for store in stores} == {stores[0].fingerprint}
    assert len(stores) == 4


def test_two_processes_at_once(root: Path, tmp_path: Path) -> None:
    """Two processes that start together end with one whole store."""
    code = (
        "import sys; from pathlib import Path\n"
        "from repro.data import load; from repro.data.cache import open_store\n"
        "store = open_store(load('voc', 'trainval', Path(sys.argv[1])), Path(sys.argv[2]))\n"
        "assert store.verify(); print(store.fingerprint)\n"
    )
    words = [sys.executable, "-c", code, root, tmp_path / "cache"]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {process.communicate()[0] for process in running}
    assert len(said) == 1
    assert all(process.returncode == 0 for process in running)


def test_classes_of_images(tmp_path: Path) -> None:
    """A classification store holds one class an image."""
    make_imagenet(tmp_path / "data")
    data = load("imagenet", "val", tmp_path / "data")
    store = open_store(data, tmp_path / "cache")
    assert [int(store.labels(i)) for i in range(4)] == [1, 1, 2, 2]
    assert np.array_equal(store.image(2), data.read(2)[0])
    assert store.verify()


def test_the_environment_names_the_cache(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REPRO_CACHE, else .cache/repro under the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REPRO_CACHE", raising=False)
    assert open_store(load("voc", "train", root)).folder.parent == tmp_path / ".cache/repro"
    monkeypatch.setenv("REPRO_CACHE", str(tmp_path / "there"))
    assert open_store(load("voc", "train", root)).folder.parent == tmp_path / "there"


def test_ordered_keeps_order_and_raises_in_turn() -> None:
    """Results come in order whatever the threads do; a fault comes after the results before it."""
    assert list(ordered(lambda i: i * i, 100, 3)) == [i * i for i in range(100)]

    def fail_at_five(i: int) -> int:
        if i == 5:
            raise DataError("five")
        return i

    results = ordered(fail_at_five, 100, 2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(DataError, match="five"):
        next(results)
