"""Fingerprints of the data and start weights that lie on this machine, under the names that records give them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from repro.config import dataset_info
from repro.config.dataset_info import Partial, images
from repro.config.dataset_info import partial as partial_splits
from repro.config.errors import WorkError
from repro.config.identity import Sources
from repro.config.machine import Machine


def here(names: Iterable[str], place: Machine) -> Sources:
    """Return the fingerprints of data splits and start weights as they lie here; splits are decoded where they must be.

    Args:
        names: as ``experiment.source_names`` gives them.
        place: data root, cache and weights.

    Raises:
        DataError: a split is missing or cannot be read.
        WorkError: weights that are asked for were not given, or cannot be read.
    """
    from repro.data import load
    from repro.data.cache import open_store

    found: dict[str, str] = {}
    for name in sorted(names):
        if name.startswith("weights"):
            found[name] = checksum(place.weights)
        else:
            dataset, _, split = name.partition("/")
            found[name] = open_store(load(dataset, split, place.data_root), place.cache).fingerprint
    return found


def known_here(names: Iterable[str], place: Machine) -> Sources:
    """Return the same for what the user has named; what lies nowhere is left out, since the run itself says so."""
    from repro.config.errors import DataError

    found: dict[str, str] = {}
    for name in sorted(names):
        if name.startswith("weights") and place.weights is None:
            continue
        try:
            found |= here([name], place)
        except DataError:
            continue
    return found


def partial_here(names: Iterable[str], place: Machine) -> Partial:
    """Return which data splits hold fewer images than are published; one that cannot be loaded is left to the run."""
    from repro.config.errors import DataError
    from repro.data import load

    held: dict[str, int] = {}
    for name in sorted(names):
        dataset, _, split = name.partition("/")
        if images(dataset, split) is None or dataset_info.get(dataset).generated:
            continue
        try:
            held[name] = len(load(dataset, split, place.data_root))
        except DataError:
            continue
    return partial_splits(held)


def checksum(path: Path | None) -> str:
    """Return the sha256 of a file of start weights; raise ``WorkError`` where it cannot be read."""
    if path is None:
        raise WorkError("start weights were not given; name them by --weights or REPRO_WEIGHTS")
    try:
        stat = path.stat()
        return _checksum(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise WorkError(f"{path}: the weights cannot be read ({error.strerror or error}); check the file") from error


@lru_cache(maxsize=8)
def _checksum(path: Path, size: int, changed: int) -> str:  # noqa: ARG001 - a changed file is another entry of the cache
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
