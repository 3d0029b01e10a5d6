"""A data set decoded once into one file that later runs map into memory."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import filelock
import numpy as np
from numpy.typing import NDArray

from repro.data.dataset import IGNORE_INDEX, Bytes, Colour, DataError, Dataset, Item, Kind
from repro.data.parallel import ordered
from repro.data.stamps import Stamps

SCHEMA = 1
PIXELS, INDEX = "pixels.bin", "index.npz"
Progress = Callable[[int, int], None]
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Store:
    """Images of one split side by side in a mapped file; every array it gives is a read-only view."""

    name: str
    split: str
    kind: Kind
    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    ids: tuple[str, ...]
    sizes: NDArray[np.int64]
    """Height and width of each image (n, 2)."""
    fingerprint: str
    """sha256 over names, classes, sizes and pixels."""
    folder: Path
    labelled: bool
    targets: NDArray[np.int64] = field(repr=False)
    """Class of each image (n,); -1 where the labels are pixels."""
    pixels: Bytes = field(repr=False)
    starts: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    def image(self, i: int) -> Bytes:
        """Return image ``i`` (h, w, 3) uint8 RGB, a view."""
        h, w = self.sizes[i].tolist()
        start = int(self.starts[i])
        return self.pixels[start : start + 3 * h * w].reshape(h, w, 3)

    def labels(self, i: int) -> Bytes:
        """Return the labels (h, w) uint8 of image ``i``, 255 void, a view; of a classification split (), its class."""
        if self.kind == "classification":
            return np.asarray(self.targets[i])
        h, w = self.sizes[i].tolist()
        start = int(self.starts[i]) + 3 * h * w
        return self.pixels[start : start + h * w].reshape(h, w)

    def verify(self) -> bool:
        """Read everything and say whether the content still has its fingerprint."""
        digest = _digest(self.name, self.kind, self.classes)
        for i, name in enumerate(self.ids):
            _add(digest, name, (self.image(i), self.labels(i)))
        return digest.hexdigest() == self.fingerprint


def open_store(
    dataset: Dataset, cache: Path | None = None, progress: Progress = lambda _done, _all: None, workers: int = 0
) -> Store:
    """Return the store of a data set, decoding it first where it is missing, damaged or older than its files.

    Args:
        dataset: what to keep.
        cache: folder of stores; default: ``REPRO_CACHE``, or ``.cache/repro`` under the current folder.
        progress: called with (images decoded, images).
        workers: threads that decode; 0: one a core, eight at most.

    Raises:
        DataError: an image or mask is bad, the cache lies in the data root, or it cannot be written.
    """
    cache = (cache or Path(os.environ.get("REPRO_CACHE") or ".cache/repro")).absolute()
    _refuse_inside(cache, dataset.root)
    folder = cache / _folder_name(dataset)
    stamps = Stamps.of(dataset)
    if (store := _existing(dataset, folder, stamps)) is not None:
        return store
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(cache / f"{folder.name}.lock"):
            if (store := _existing(dataset, folder, stamps, say=True)) is not None:
                return store
            _build(dataset, folder, stamps, progress, workers)
    except OSError as error:
        msg = f"cache {cache} cannot be written ({error.strerror or error}); free space or name another by REPRO_CACHE"
        raise DataError(msg) from error
    if (store := _existing(dataset, folder, stamps)) is None:
        raise DataError(f"store {folder} cannot be read back; check the disk, or name another cache by REPRO_CACHE")
    return store


def _refuse_inside(cache: Path, root: Path | None) -> None:
    if root is not None and cache.resolve().is_relative_to(root.resolve()):
        raise DataError(f"cache {cache} lies in data root {root}, which is only read; name another by REPRO_CACHE")


def _folder_name(dataset: Dataset) -> str:
    root = str(dataset.root.resolve()) if dataset.root else ""
    place = hashlib.sha256(root.encode()).hexdigest()[:8]
    return f"{dataset.name}-{dataset.split}-{place}"


def _existing(dataset: Dataset, folder: Path, stamps: Stamps, *, say: bool = False) -> Store | None:
    """Return the store in ``folder`` if it is whole and belongs to these sources."""
    if not (folder / INDEX).exists():
        return None
    try:
        with (folder / INDEX).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            index = {name: archive[name] for name in archive.files}
        fault = _fault(index, folder, stamps)
        if fault is None:
            return _map(dataset, folder, index)
    except (OSError, ValueError, KeyError, EOFError) as error:
        fault = f"its store is damaged ({error})"
    except Exception as error:  # noqa: BLE001 - zipfile and zlib have their own kinds for a damaged archive
        fault = f"its store is damaged ({error})"
    if say:
        _LOG.warning("%s/%s: %s; decoding it again", dataset.name, dataset.split, fault)
    return None


def _fault(index: dict[str, NDArray[np.generic]], folder: Path, stamps: Stamps) -> str | None:
    if int(index["schema"]) != SCHEMA:
        return f"its store has schema {int(index['schema'])}, not {SCHEMA}"
    have, want = (folder / PIXELS).stat().st_size, int(index["bytes"])
    if have != want:
        return f"its store holds {have} bytes instead of {want}"
    return stamps.change(Stamps.from_arrays(index))


def _map(dataset: Dataset, folder: Path, index: dict[str, NDArray[np.generic]]) -> Store:
    return Store(
        name=dataset.name,
        split=dataset.split,
        kind=dataset.kind,
        classes=dataset.classes,
        palette=dataset.palette,
        ids=tuple(str(name) for name in index["ids"]),
        sizes=index["sizes"].astype(np.int64),
        fingerprint=str(index["fingerprint"]),
        folder=folder,
        labelled=dataset.labelled,
        targets=index["targets"].astype(np.int64),
        pixels=np.asarray(np.memmap(folder / PIXELS, dtype=np.uint8, mode="r")),
        starts=index["starts"].astype(np.int64),
    )


def _build(dataset: Dataset, folder: Path, stamps: Stamps, progress: Progress, workers: int) -> None:
    """Decode into a folder aside and rename it into place."""
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        index = _write_pixels(dataset, aside / PIXELS, progress, workers)
        np.savez(aside / INDEX, allow_pickle=False, **index, **stamps.arrays())
        aside.chmod(0o755)
        _replace(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _replace(aside: Path, folder: Path) -> None:
    """Put ``aside`` where ``folder`` is; whoever has the old one mapped keeps reading it."""
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
        folder.replace(old / "old")
        shutil.rmtree(old, ignore_errors=True)
    aside.replace(folder)


def _write_pixels(dataset: Dataset, path: Path, progress: Progress, workers: int) -> dict[str, NDArray[np.generic]]:
    digest = _digest(dataset.name, dataset.kind, dataset.classes)
    sizes = np.zeros((len(dataset), 2), np.int64)
    targets = np.full(len(dataset), -1, np.int64)
    starts = np.zeros(len(dataset) + 1, np.int64)
    with path.open("wb") as file:
        for i, item in enumerate(ordered(dataset.read, len(dataset), workers)):
            sizes[i], targets[i] = item[0].shape[:2], item[1] if dataset.kind == "classification" else -1
            starts[i + 1] = starts[i] + _write(file.write, item, dataset.kind)
            _add(digest, dataset.ids[i], item)
            progress(i + 1, len(dataset))
        file.flush()
        os.fsync(file.fileno())
    whole = {"schema": SCHEMA, "bytes": int(starts[-1]), "fingerprint": digest.hexdigest()}
    scalars = {name: np.asarray(value) for name, value in whole.items()}
    return scalars | {"ids": np.asarray(dataset.ids), "sizes": sizes, "targets": targets, "starts": starts[:-1]}


def _write(write: Callable[[bytes | memoryview], int], item: Item, kind: Kind) -> int:
    parts = item[:1] if kind == "classification" else item
    return sum(write(np.ascontiguousarray(part).data) for part in parts)


def _digest(name: str, kind: Kind, classes: tuple[str, ...]) -> hashlib._Hash:
    return hashlib.sha256(repr((SCHEMA, name, kind, classes, IGNORE_INDEX)).encode())


def _add(digest: hashlib._Hash, name: str, item: Item) -> None:
    image, labels = item
    digest.update(repr((name, image.shape, np.shape(labels))).encode())
    digest.update(np.ascontiguousarray(image).data)
    digest.update(np.ascontiguousarray(labels).tobytes() if np.ndim(labels) else str(int(labels)).encode())
