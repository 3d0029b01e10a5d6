"""Write files whole or not at all (aside, through to the disk, then under their name); name what cannot be read."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from repro.config.errors import DataError

PARTIAL = ".partial"
"""Ending of a file that is being written; its name begins with a dot."""
_NO_SYNC = {errno.EINVAL, errno.EACCES, errno.EPERM, errno.EBADF, errno.ENOTSUP}
"""Answers of file systems whose folders cannot be opened or synced."""


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write a file as ``atomic_file`` does; text is written as UTF-8.

    Raises:
        OSError: as ``atomic_file``.
    """
    with atomic_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write aside, then rename it over what stood there, whose permissions it keeps.

    Through a symbolic link, the file that it names is replaced.

    Raises:
        OSError: the disk refuses, or what stands there is read-only or no file. What stood there is whole, or its
            successor is, and nothing is left beside it.
    """
    target = Path(os.path.realpath(path))
    mode = None
    if target.exists():
        if not (target.is_file() or target.is_dir()):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        mode = target.stat().st_mode & 0o777
    aside = target.with_name(f".{os.urandom(8).hex()}{PARTIAL}")
    try:
        with aside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            aside.chmod(mode)
        aside.replace(target)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise
    through(target.parent)


@contextmanager
def reading(
    what: object, remedy: str, *also: type[Exception], error: type[ValueError] = DataError,
    missing: type[ValueError] | None = None,
) -> Iterator[None]:  # fmt: skip
    """Turn an ``OSError``, or one of ``also``, into an ``error``: ``{what} cannot be read ({reason}); {remedy}``.

    ``missing`` is raised in its place where there is no such file. An ``error`` raised within passes as it is.
    """
    kinds: tuple[type[Exception], ...] = (OSError, *also)
    try:
        yield
    except kinds as fault:
        if isinstance(fault, error):
            raise
        kind = missing if missing and isinstance(fault, FileNotFoundError) else error
        raise kind(f"{what} cannot be read ({reason(fault)}); {remedy}") from fault


def reason(error: BaseException) -> str:
    """Return why a file could not be read or written, without its name where the system says it apart."""
    return getattr(error, "strerror", None) or str(error)


def through(path: Path) -> None:
    """Have the disk keep a file or a folder's names before what follows: a power cut may come.

    Raises:
        OSError: the disk refuses.
    """
    folder = path.is_dir()
    if folder and os.name == "nt":  # which opens no folder
        return
    try:
        descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if not folder or error.errno not in _NO_SYNC:
            raise
