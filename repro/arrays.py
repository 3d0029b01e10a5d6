"""Small ``.npz`` archives read quickly: hundreds of them go into one report, with a handful of different headers."""

from __future__ import annotations

import io
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

_PREFIX = 10
"""Bytes before a header of format 1.0: the magic string, the version, the header's length."""
_FIRST = b"\x93NUMPY\x01\x00"


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Return every array of an archive by its name; nothing in it is ever executed.

    Raises:
        OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error: as ``numpy.load`` without pickles.
    """
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy"): _array(archive.read(name)) for name in archive.namelist()}


def _array(data: bytes) -> NDArray[Any]:
    """Return the array of a ``.npy`` file, read-only."""
    if not data.startswith(_FIRST):
        found: NDArray[Any] = npy.read_array(io.BytesIO(data), allow_pickle=False)
        return found
    start = _PREFIX + int.from_bytes(data[_PREFIX - 2 : _PREFIX], "little")
    shape, order, dtype = _header(data[:start])
    return np.frombuffer(data, dtype, offset=start).reshape(shape, order=order)


@lru_cache(maxsize=64)
def _header(data: bytes) -> tuple[tuple[int, ...], Any, np.dtype[Any]]:
    """Return shape, order and kind that a header names; raise ``ValueError`` for one that is cut short."""
    stream = io.BytesIO(data)
    npy.read_magic(stream)
    shape, fortran, dtype = npy.read_array_header_1_0(stream)
    return shape, "F" if fortran else "C", dtype
