"""Read small ``.npz`` archives quickly and safely: one report reads hundreds of them, from any source."""

from __future__ import annotations

import ast
import io
import math
import zipfile
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from repro.config.errors import ArrayError

MOST = 1 << 28
"""Default limit of the bytes of an archive's arrays together."""
_PREFIX = 10
"""Bytes before a header of format 1.0: the magic string, the version, the header's length."""
_LONG_PREFIX = 12
"""Bytes before a header of later formats."""
_FIRST = b"\x93NUMPY\x01\x00"
_ENCRYPTED = 1
_SLACK = 1 << 16
"""Bytes of an archive beside its arrays."""


def parse(data: bytes, most: int = MOST) -> dict[str, NDArray[Any]]:
    """Return the arrays of an archive by name, read-only; nothing in it is executed.

    The declared sizes are compared with ``most`` before anything is unpacked.

    Raises:
        ArrayError: it is damaged, encrypted or larger than ``most`` bytes, or holds anything but plain arrays.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check(members, most)
            return {member.filename.removesuffix(".npy"): _array(_unpacked(archive, member)) for member in members}
    except ArrayError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise nearly every kind for a header that was changed
        raise ArrayError(str(error) or type(error).__name__) from error


def _check(members: list[zipfile.ZipInfo], most: int) -> None:
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        raise ArrayError("an array stands twice")
    for member in members:
        if not member.filename.endswith(".npy"):
            raise ArrayError(f"{member.filename!r} is no array")
        if member.flag_bits & _ENCRYPTED:
            raise ArrayError("it is encrypted")
        if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise ArrayError(f"compression {member.compress_type} is unknown")
    if (declared := sum(member.file_size for member in members)) > most + _SLACK:
        raise ArrayError(f"declares {declared:,} bytes, more than the {most:,} that it may have")


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Return a member's bytes; never unpack more than it declares."""
    with archive.open(member) as file:
        data = file.read(member.file_size + 1)
    if len(data) != member.file_size:
        raise ArrayError(f"{member.filename!r} is cut short")
    return data


def _array(data: bytes) -> NDArray[Any]:
    """Return the array of a ``.npy`` file."""
    if not data.startswith(_FIRST):
        return _of_another_format(data)
    start = _PREFIX + int.from_bytes(data[_PREFIX - 2 : _PREFIX], "little")
    shape, order, dtype = _header(data[:start])
    if dtype.hasobject:
        raise ArrayError("holds an OBJECT array")
    return np.frombuffer(data, dtype, offset=start).reshape(shape, order=order)


def _of_another_format(data: bytes) -> NDArray[Any]:
    """Return an array of another format version by numpy's reader, after a check of its declared length."""
    start = _LONG_PREFIX + int.from_bytes(data[_PREFIX - 2 : _LONG_PREFIX], "little")
    shape = ast.literal_eval(data[_LONG_PREFIX : min(start, _SLACK)].decode()).get("shape", ())
    if math.prod(shape) > len(data):
        raise ArrayError(f"declares {math.prod(shape):,} values in {len(data):,} bytes")
    found: NDArray[Any] = npy.read_array(io.BytesIO(data), allow_pickle=False)
    found.setflags(write=False)
    return found


@lru_cache(maxsize=64)
def _header(data: bytes) -> tuple[tuple[int, ...], Any, np.dtype[Any]]:
    """Return the shape, order and dtype of a header; raise ``ValueError`` for one that is cut short."""
    stream = io.BytesIO(data)
    npy.read_magic(stream)
    shape, fortran, dtype = npy.read_array_header_1_0(stream)
    return shape, "F" if fortran else "C", dtype
