"""Stores: a split decoded once into one memory-mapped file, with the stamps of its source files."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import filelock
import numpy as np
from numpy.typing import NDArray

from repro.config.errors import DataError
from repro.config.io import reading, reason
from repro.data.dataset import IGNORE_INDEX, Bytes, Colour, Dataset, Item, Kind
from repro.data.io import RESTORE, ordered

SCHEMA = 1
"""Version of the content's layout, part of every fingerprint."""
FORMAT = 2
"""Version of the files' layout; 2 has checksums."""
PIXELS, INDEX = "pixels.bin", "index.npz"
Progress = Callable[[int, int], None]
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Store:
    """Images of one split in a memory-mapped file; every array returned is a read-only view."""

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
    mapped: Bytes = field(repr=False)
    """The whole file, checksums not compared; use ``pixels``."""
    starts: NDArray[np.int64] = field(repr=False)
    """First byte of each image (n,)."""
    sums: NDArray[np.uint32] = field(repr=False)
    """Checksum of each image with its labels (n,)."""
    checked: NDArray[np.bool_] = field(repr=False)
    """Whether the checksum of an image has been compared by this process (n,)."""
    root: Path | None = None
    """The data root that it was decoded from."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    def image(self, i: int) -> Bytes:
        """Return image ``i`` (h, w, 3) uint8 RGB, a view.

        Raises:
            DataError: the store is damaged there, and cannot be decoded again from its source files.
        """
        if not self.checked[i]:
            self._check(i)
        h, w = self.sizes[i].tolist()
        start = int(self.starts[i])
        return self.mapped[start : start + 3 * h * w].reshape(h, w, 3)

    def labels(self, i: int) -> Bytes:
        """Return the labels (h, w) uint8 of image ``i``, 255 void, a view; of a classification split (), its class.

        Raises:
            DataError: as ``image``.
        """
        if self.kind == "classification":
            return np.asarray(self.targets[i])
        if not self.checked[i]:
            self._check(i)
        h, w = self.sizes[i].tolist()
        start = int(self.starts[i]) + 3 * h * w
        return self.mapped[start : start + h * w].reshape(h, w)

    @property
    def pixels(self) -> Bytes:
        """The bytes of the whole file after comparing all checksums; raise ``DataError`` as ``image``."""
        self.check()
        return self.mapped

    def check(self) -> None:
        """Compare every checksum that this process has not compared; decode a damaged store again.

        Raises:
            DataError: as ``image``.
        """
        while not self.checked.all():  # after decoding again, every image is compared anew
            for i in np.flatnonzero(~self.checked).tolist():
                self._check(i)

    def damaged(self, places: Sequence[int] | None = None) -> tuple[str, ...]:
        """Return the names of the images, or of these, without their checksum; nothing is decoded again."""
        return tuple(self.ids[i] for i in (range(len(self)) if places is None else places) if not self._sound(i))

    def verify(self) -> bool:
        """Return whether the content has its fingerprint, reading all of it; nothing is decoded again."""
        digest = _digest(self.name, self.kind, self.classes)
        whole = replace(self, checked=np.ones(len(self), np.bool_))
        for i, name in enumerate(self.ids):
            _add(digest, name, (whole.image(i), whole.labels(i)))
        return digest.hexdigest() == self.fingerprint

    def _sound(self, i: int) -> bool:
        end = self.starts[i + 1] if i + 1 < len(self) else self.mapped.size
        return zlib.crc32(self.mapped[self.starts[i] : end].data) == int(self.sums[i])

    def _check(self, i: int) -> None:
        if not self._sound(i):
            # Views of the damaged file that are still in use show images whose checksums were right.
            object.__setattr__(self, "mapped", _restored(self, i))
            self.checked[:] = False
            if not self._sound(i):
                raise DataError(f"store {self.folder} is damaged again at image {self.ids[i]}; check the disk")
        self.checked[i] = True


def open_store(
    dataset: Dataset, cache: Path | None = None, progress: Progress = lambda _done, _all: None, workers: int = 0
) -> Store:
    """Return the store of a data set, decoding it first where it is missing, damaged or older than its files.

    Args:
        dataset: the split.
        cache: folder of stores; default: ``REPRO_CACHE``, or ``.cache/repro`` under the current folder.
        progress: called with (images decoded, images).
        workers: threads that decode; 0: one a core, eight at most.

    Raises:
        DataError: an image or mask is bad, the cache lies in the data root, or it cannot be written.
    """
    cache, folder, stamps = _where(dataset, cache)
    if (store := _existing(dataset, folder, stamps)) is not None:
        return store
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(cache / f"{folder.name}.lock"):
            if (store := _existing(dataset, folder, stamps, say=True)) is not None:
                return store
            _build(dataset, folder, stamps, progress, workers)
    except OSError as error:
        msg = f"cache {cache} cannot be written ({reason(error)}); free space or name another by REPRO_CACHE"
        raise DataError(msg) from error
    if (store := _existing(dataset, folder, stamps)) is None:
        raise DataError(f"store {folder} cannot be read back; check the disk, or name another cache by REPRO_CACHE")
    return store


def kept(dataset: Dataset, cache: Path | None = None) -> Store | None:
    """Return the store of a split if it exists and is not older than its source files, else None."""
    _, folder, stamps = _where(dataset, cache)
    return _existing(dataset, folder, stamps)


def _where(dataset: Dataset, cache: Path | None) -> tuple[Path, Path, Stamps]:
    """Return the folder of stores, the folder of this split's store, and the stamps of its files."""
    cache = (cache or Path(os.environ.get("REPRO_CACHE") or ".cache/repro")).absolute()
    _refuse_inside(cache, dataset.root)
    return cache, cache / _folder_name(dataset), Stamps.of(dataset)


def _restored(damaged: Store, i: int) -> Bytes:
    """Decode a store again whose image ``i`` is damaged, unless another process has done so; return its file mapped.

    The data set is loaded anew: a training must not hold the annotations of a large one in memory for this.

    Raises:
        DataError: a source file is gone or has another content than was decoded before.
    """
    from repro.data import load  # not at the top: an import cycle

    folder = damaged.folder
    name = f"store {folder} is damaged: image {damaged.ids[i]} does not have its checksum"
    try:
        with filelock.FileLock(folder.parent / f"{folder.name}.lock"):
            dataset = load(damaged.name, damaged.split, damaged.root)
            stamps = Stamps.of(dataset)
            store = _existing(dataset, folder, stamps)
            if store is None or store.fingerprint != damaged.fingerprint or store.damaged([i]):
                _LOG.warning("%s; decoding it again from its source files", name)
                _build(dataset, folder, stamps, lambda _done, _all: None, 0)
                store = _existing(dataset, folder, stamps)
    except (OSError, DataError) as error:
        raise DataError(f"{name}, and it cannot be decoded again ({reason(error)})") from error
    if store is None or store.fingerprint != damaged.fingerprint:
        raise DataError(f"{name}, and its source files have another content by now; start the command again")
    return store.mapped


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
        fault = _fault(index, folder, stamps, dataset.root)
        if fault is None:
            return _map(dataset, folder, index)
    except (OSError, ValueError, KeyError, EOFError) as error:
        fault = f"its store is damaged ({error})"
    except Exception as error:  # noqa: BLE001 - zipfile and zlib have their own kinds for a damaged archive
        fault = f"its store is damaged ({error})"
    if say:
        _LOG.warning("%s/%s: %s; decoding it again", dataset.name, dataset.split, fault)
    return None


def _fault(index: dict[str, NDArray[np.generic]], folder: Path, stamps: Stamps, root: Path | None) -> str | None:
    if "head" not in index or str(index["head"][0]) != str(FORMAT):
        return "its store is of another version of this program"
    have, want = (folder / PIXELS).stat().st_size, int(index["head"][1])
    if have != want:
        return f"its store holds {have} bytes instead of {want}"
    return stamps.change(Stamps.from_arrays(index), root)


def _map(dataset: Dataset, folder: Path, index: dict[str, NDArray[np.generic]]) -> Store:
    sizes = index["sizes"].astype(np.int64)
    return Store(
        name=dataset.name,
        split=dataset.split,
        kind=dataset.kind,
        classes=dataset.classes,
        palette=dataset.palette,
        ids=tuple(str(name) for name in index["ids"]),
        sizes=sizes,
        fingerprint=str(index["head"][2]),
        folder=folder,
        labelled=dataset.labelled,
        targets=index["targets"].astype(np.int64),
        mapped=np.asarray(np.memmap(folder / PIXELS, dtype=np.uint8, mode="r")),
        starts=_starts(sizes, dataset.kind),
        sums=index["sums"].astype(np.uint32),
        checked=np.zeros(len(index["ids"]), np.bool_),
        root=dataset.root,
    )


def _build(dataset: Dataset, folder: Path, stamps: Stamps, progress: Progress, workers: int) -> None:
    """Decode into a temporary folder and rename it."""
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        index = _write_pixels(dataset, aside / PIXELS, progress, workers)
        dataset.judge()
        np.savez(aside / INDEX, allow_pickle=False, **index, **stamps.arrays())
        aside.chmod(0o755)
        _replace(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _replace(aside: Path, folder: Path) -> None:
    """Replace ``folder`` by ``aside``; processes that have the old file mapped keep reading it."""
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
        folder.replace(old / "old")
        shutil.rmtree(old, ignore_errors=True)
    aside.replace(folder)


def _write_pixels(dataset: Dataset, path: Path, progress: Progress, workers: int) -> dict[str, NDArray[np.generic]]:
    digest = _digest(dataset.name, dataset.kind, dataset.classes)
    sizes = np.zeros((len(dataset), 2), np.int64)
    targets = np.full(len(dataset), -1, np.int64)
    sums = np.zeros(len(dataset), np.uint32)
    length = 0
    with path.open("wb") as file:
        for i, item in enumerate(ordered(dataset.read, len(dataset), workers)):
            sizes[i], targets[i] = item[0].shape[:2], item[1] if dataset.kind == "classification" else -1
            written, sums[i] = _write(file.write, item, dataset.kind)
            length += written
            _add(digest, dataset.ids[i], item)
            progress(i + 1, len(dataset))
        file.flush()
        os.fsync(file.fileno())
    head = np.asarray([str(FORMAT), str(length), digest.hexdigest()])
    return {"head": head, "ids": np.asarray(dataset.ids), "sizes": sizes, "targets": targets, "sums": sums}


def _starts(sizes: NDArray[np.int64], kind: Kind) -> NDArray[np.int64]:
    """Return the first byte (n,) of each image; labels of pixels follow its three channels."""
    lengths: NDArray[np.int64] = sizes.prod(axis=1) * (3 if kind == "classification" else 4)
    return np.asarray(np.cumsum(lengths) - lengths, np.int64)


def _write(write: Callable[[bytes | memoryview], int], item: Item, kind: Kind) -> tuple[int, int]:
    """Write an image with its labels; return the number of bytes and their checksum."""
    length = checksum = 0
    for part in item[:1] if kind == "classification" else item:
        data = np.ascontiguousarray(part).data
        length += write(data)
        checksum = zlib.crc32(data, checksum)
    return length, checksum


def _digest(name: str, kind: Kind, classes: tuple[str, ...]) -> hashlib._Hash:
    return hashlib.sha256(repr((SCHEMA, name, kind, classes, IGNORE_INDEX)).encode())


def _add(digest: hashlib._Hash, name: str, item: Item) -> None:
    image, labels = item
    digest.update(repr((name, image.shape, np.shape(labels))).encode())
    digest.update(np.ascontiguousarray(image).data)
    digest.update(np.ascontiguousarray(labels).tobytes() if np.ndim(labels) else str(int(labels)).encode())


@dataclass(frozen=True)
class Stamps:
    """Size and modification time (ns) of each source file, size and hash of each list, and the loader's version.

    Files below the data root are named from there, so that the same root under another name has the same stamps.
    """

    files: Mapping[str, tuple[int, int]]
    version: str

    @classmethod
    def of(cls, dataset: Dataset) -> Stamps:
        """Stat every source file and hash every list; raise ``DataError`` naming a missing one."""
        paths = {str(path) for i in range(len(dataset)) for path in dataset.sources(i)}
        try:
            stamps = {path: _stamp(path) for path in paths}
        except OSError as error:
            raise DataError(f"file {error.filename} cannot be read ({reason(error)}); {RESTORE}") from error
        stamps |= {str(path): _hash(path) for path in dataset.lists}
        above = f"{dataset.root}{os.sep}" if dataset.root else ""
        files = {path.removeprefix(above): stamps[path] for path in sorted(stamps)}
        names = hashlib.sha256("\n".join(dataset.ids).encode()).hexdigest()
        return cls(files, repr((dataset.version, dataset.kind, dataset.classes, names)))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Stamps:
        """Read what ``arrays`` wrote."""
        paths, stamps = arrays["stamp_paths"].tolist(), arrays["stamps"].tolist()
        return cls(
            {path: (size, time) for path, (size, time) in zip(paths, stamps, strict=True)}, str(arrays["version"])
        )

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return arrays for an ``.npz`` file."""
        stamps = np.array(list(self.files.values()), dtype=np.int64).reshape(-1, 2)
        return {
            "stamp_paths": np.array(list(self.files), dtype=str),
            "stamps": stamps,
            "version": np.array(self.version),
        }

    def change(self, before: Stamps, root: Path | None = None) -> str | None:
        """Return a sentence on how the files differ from ``before``, or None; files are named below ``root``."""
        if self == before:
            return None
        names = sorted(set(self.files) | set(before.files))
        changed = [name for name in names if self.files.get(name) != before.files.get(name)]
        if changed:
            first = root / changed[0] if root else changed[0]
            return f"{len(changed)} of its source files changed since it was decoded, the first is {first}"
        return "its code, classes or list of images changed since it was decoded"


def _stamp(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116 - a Path for each of 100,000 files takes longer than the call
    return status.st_size, status.st_mtime_ns


def _hash(path: Path) -> tuple[int, int]:
    """Return size and hash of a list: it is small, and a copy of it with another date is the same list."""
    with reading(f"file {path}", RESTORE):
        content = path.read_bytes()
    return len(content), int.from_bytes(hashlib.sha256(content).digest()[:8], "big", signed=True)
