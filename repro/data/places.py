"""Where each pixel of a split lies (``regions.places``): it depends on the labels alone, and is kept beside them."""

from __future__ import annotations

import logging
import os
import zlib
from pathlib import Path

import filelock
import numpy as np
from numpy.typing import NDArray

from repro import regions
from repro.data.parallel import ordered
from repro.data.store import Store

SCHEMA = 1
_CHECK = 2  # words behind the places: their checksum
_LOG = logging.getLogger(__name__)
Places = list[NDArray[np.uint16]]


def keep_places(
    store: Store, rim: regions.Rim, distance: regions.Distance, background: int | None, threads: int = 0
) -> Places | None:
    """Return every image's places, views of one mapped file in the store's folder, found first where it lacks them.

    A file whose size or checksum is wrong is found again, in so many threads (0: one a core, eight at most). None, with
    a warning, where the folder cannot be written: the places are then found anew by each evaluation.
    """
    options = f"{rim}-{distance}-{'none' if background is None else background}"
    path = store.folder / f"places{SCHEMA}-{options}-{store.fingerprint[:16]}.bin"
    areas = store.sizes.prod(axis=1)
    try:
        if (whole := _mapped(path, int(areas.sum()))) is None:
            with filelock.FileLock(path.with_suffix(".lock")):
                if (whole := _mapped(path, int(areas.sum()))) is None:
                    _write(path, store, rim, distance, background, threads)
                    whole = _mapped(path, int(areas.sum()))
    except OSError as error:
        _LOG.warning("%s cannot be written (%s); regions are found anew for each evaluation", path, error.strerror)
        return None
    if whole is None:
        _LOG.warning("%s cannot be read back; regions are found anew for each evaluation", path)
        return None
    parts = np.split(whole, areas.cumsum()[:-1])
    return [part.reshape(size) for part, size in zip(parts, store.sizes.tolist(), strict=True)]


def _mapped(path: Path, pixels: int) -> NDArray[np.uint16] | None:
    """Return the places of all pixels if the file is there and whole."""
    if not path.exists() or path.stat().st_size != 2 * (pixels + _CHECK):
        return None
    words = np.asarray(np.memmap(path, dtype=np.uint16, mode="r"))
    return (
        words[:pixels]
        if zlib.crc32(words[:pixels].data) == int.from_bytes(words[pixels:].tobytes(), "little")
        else None
    )


def _write(
    path: Path, store: Store, rim: regions.Rim, distance: regions.Distance, background: int | None, threads: int
) -> None:
    """Find the places in threads and write them aside; rename."""
    aside, checksum = path.with_suffix(f".{os.getpid()}"), 0
    try:
        with aside.open("wb") as file:

            def find(i: int) -> NDArray[np.uint16]:
                return regions.places(store.labels(i), rim, distance, background)

            for part in ordered(find, len(store), threads):
                checksum = zlib.crc32(part.data, checksum)
                file.write(part.data)
            file.write(checksum.to_bytes(2 * _CHECK, "little"))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
