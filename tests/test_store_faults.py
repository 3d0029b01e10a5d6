"""A store that is damaged, cannot be written, or would lie in the data root."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from data_files import make_voc, noise

from repro.data import DataError, load
from repro.data.store import INDEX, PIXELS, open_store


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
        "from repro.data import load, DataError; from repro.data.store import open_store\n"
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
