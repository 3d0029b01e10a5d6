"""Tar archives: written with the same bytes for the same files, read without trusting their names and sizes."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from repro.config.errors import BundleError
from repro.runner.bundle.manifest import NAME, Manifest, Piece, parse, safe, text

BLOCK, RECORD = 512, 10240
"""Bytes that a tar member and a whole tar file are rounded up to."""
LONG_NAME = 100
"""Bytes of a name beyond which its member takes two blocks more."""
PIECE = ".piece-"
"""Between the name of a file and the offset, in a member that holds a part of it."""
LARGEST_MANIFEST = 2**28
CHUNK = 2**20
MEMBERS = 10**6
"""Most members of an archive."""
Member = tuple[str, int, BinaryIO]
"""Name, size and content."""


def write_tar(target: Path, members: Iterable[Member], *, compressed: bool = False) -> None:
    """Write an archive aside and rename it into place; equal members give equal bytes.

    Raises:
        BundleError: the disk refuses.
    """
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            if compressed:
                with gzip.GzipFile(filename="", mode="wb", compresslevel=4, fileobj=file, mtime=0) as stream:
                    _write(stream, members)
            else:
                _write(file, members)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
    except OSError as error:
        why = error.strerror or error
        raise BundleError(f"{target}: cannot be written ({why}); free space or choose another --out") from error
    finally:
        aside.unlink(missing_ok=True)


def _write(stream: BinaryIO | gzip.GzipFile, members: Iterable[Member]) -> None:
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, size, content in members:
            info = tarfile.TarInfo(name)  # owner, group and time are zero
            info.size, info.mode = size, 0o644
            tar.addfile(info, content)


def cost(name: str, size: int) -> int:
    """Return the bytes that a member takes in a tar file."""
    return BLOCK * (1 + 2 * (len(name) + len(PIECE) + 12 >= LONG_NAME)) + -(-size // BLOCK) * BLOCK


def members_of(manifest: Manifest, part: int, sources: Mapping[str, Path | bytes]) -> Iterator[Member]:
    """Yield the members of part number ``part``, the manifest first.

    Args:
        manifest: what the bundle holds.
        part: from 1.
        sources: the content of each file by its path, or the file that holds it.
    """
    head = text(manifest, part)
    yield NAME, len(head), io.BytesIO(head)
    for piece in manifest.parts[part - 1]:
        source = sources[piece.path]
        name = _member(manifest, piece)
        if isinstance(source, bytes):
            yield name, piece.size, io.BytesIO(source[piece.offset : piece.offset + piece.size])
        else:
            with source.open("rb") as file:
                file.seek(piece.offset)
                yield name, piece.size, file


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive, compressed or not, to be read from its beginning to its end.

    Raises:
        BundleError: it is missing, damaged or no archive, also where that shows only while it is read.
    """
    if not hasattr(tarfile, "data_filter"):
        raise BundleError("this Python's tarfile cannot unpack safely; use Python 3.11.4 or newer")
    try:
        with tarfile.open(path, "r|*") as tar:
            yield tar
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BundleError(f"{path}: damaged or no archive ({_short(error)}); transfer it again") from error
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror or error})") from error


def files_in(tar: tarfile.TarFile, where: Path, most: int) -> Iterator[tarfile.TarInfo]:
    """Yield the files of an archive, folders left out.

    Args:
        tar: as ``opened`` gives it.
        where: the archive's path, for messages.
        most: bytes that all files together may have.

    Raises:
        BundleError: a name is absolute, leaves its folder or occurs twice, a member is a link, device or pipe, or the
            files are larger than ``most``.
    """
    seen: set[str] = set()
    total = 0
    for info in tar:
        if info.isdir():
            safe(info.name.rstrip("/"))
            continue
        try:
            tarfile.data_filter(info, "/nowhere")
        except tarfile.FilterError as error:
            raise BundleError(f"{where}: {_short(error)}; do not use this archive") from error
        if not info.isreg():
            raise BundleError(f"{where}: {info.name!r} is a link, a device or a pipe; do not use this archive")
        name = safe(info.name)
        total += info.size
        if name in seen or len(seen) >= MEMBERS:
            raise BundleError(f"{where}: holds {name!r} twice, or too many files; do not use this archive")
        if info.size < 0 or total > most:
            raise BundleError(f"{where}: its files take more than {most:,} bytes; do not use this archive")
        seen.add(name)
        yield info


def content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> BinaryIO:
    """Return the bytes of a member as a stream."""
    found = tar.extractfile(info)
    assert found is not None  # it is a file
    return found  # type: ignore[return-value]


def head(path: Path) -> tuple[Manifest, int] | None:
    """Return the manifest of a part of a bundle and the part's number; None for an archive of another kind.

    Raises:
        BundleError: the archive or its manifest is damaged.
    """
    with opened(path) as tar:
        for info in files_in(tar, path, 2**62):
            if info.name != NAME:
                return None
            if info.size > LARGEST_MANIFEST:
                raise BundleError(f"{path}: its {NAME} is larger than {LARGEST_MANIFEST:,} bytes; do not use it")
            return parse(content(tar, info).read(), path)
    return None


def unpack_part(path: Path, manifest: Manifest, part: int, folder: Path) -> None:
    """Write the files of a part below ``folder``, each piece at its place.

    Raises:
        BundleError: the archive holds other files or sizes than its manifest says, or the disk refuses.
    """
    wanted = {_member(manifest, piece): piece for piece in manifest.parts[part - 1]}
    most = LARGEST_MANIFEST + sum(piece.size for piece in wanted.values())
    with opened(path) as tar:
        for info in files_in(tar, path, most):
            if info.name == NAME:
                continue
            piece = wanted.pop(info.name, None)
            if piece is None or info.size != piece.size:
                raise BundleError(f"{path}: {info.name} is not as its {NAME} says; transfer the archive again")
            _place(content(tar, info), folder / piece.path, piece, manifest.by_path[piece.path].size)
    if wanted:
        raise BundleError(f"{path}: {next(iter(wanted))} is missing in it; transfer the archive again")


def _member(manifest: Manifest, piece: Piece) -> str:
    whole = piece.size == manifest.by_path[piece.path].size
    return piece.path if whole else f"{piece.path}{PIECE}{piece.offset:012d}"


def _place(source: BinaryIO, target: Path, piece: Piece, size: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    whole = piece.size == size
    with target.open("wb" if whole or not target.exists() else "r+b") as file:
        file.seek(piece.offset)
        left = piece.size
        while left and (data := source.read(min(CHUNK, left))):
            left -= file.write(data)
    os.utime(target, (0, 0))  # a store remembers the times of its files: unpacked again, they are the same


def changed(manifest: Manifest, paths: Iterable[str], folder: Path) -> str:
    """Return the first of some files whose content below ``folder`` is not that of the bundle, or nothing."""
    known = manifest.by_path
    for path in paths:
        file = folder / path
        if not file.is_file() or file.stat().st_size != known[path].size or digest(file) != known[path].sha256:
            return path
    return ""


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
