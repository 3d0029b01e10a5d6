"""Download and unpack published archives: resumable, with checksums, never outside the target folder."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pooch
import requests

from repro.config import dataset_info
from repro.config.dataset_info import Archive
from repro.config.errors import DataError

CHUNK = 1 << 16
TIMEOUT = (15, 60)
Progress = Callable[[str, int, int], None]


def fetch(
    name: str,
    dest: Path,
    progress: Progress = lambda _name, _done, _all: None,
    archives: Sequence[Archive] = (),
) -> Path:
    """Download a data set's archives into ``dest/archives`` and unpack them below ``dest``.

    An archive that has its checksum is not downloaded again; an interrupted download is resumed.

    Args:
        name: data set.
        dest: the data root.
        progress: called with (file, bytes so far, bytes in all or 0).
        archives: default: those of its ``DatasetInfo``.

    Raises:
        DataError: it has no archives, the server does not answer, or the checksum is wrong.
    """
    info = dataset_info.get(name)
    if not (archives := archives or info.archives):
        known = ", ".join(known.name for known in dataset_info.DATASETS.values() if known.archives)
        raise DataError(f"{name} cannot be downloaded here: {info.by_hand} (what can be: {known})")
    try:
        dest.mkdir(parents=True, exist_ok=True)
        for archive in archives:
            unpack(_download(archive, dest / "archives", progress), dest / archive.folder)
    except OSError as error:  # requests' errors among them
        reason = getattr(error, "strerror", None) or _short(error)
        raise DataError(f"{name} could not be downloaded to {dest} ({reason}); run it again to go on") from error
    return dest


def _short(error: Exception) -> str:
    """Return an error's first 200 characters on one line."""
    return " ".join(str(error).split())[:200]


def _download(archive: Archive, folder: Path, progress: Progress) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    partial_file = folder / f"{archive.name}.part"
    pooch.get_logger().setLevel("WARNING")  # ``progress`` reports instead
    try:
        found = pooch.retrieve(
            archive.url,
            archive.known_hash,
            fname=archive.name,
            path=folder,
            downloader=partial(_resume, partial_file=partial_file, progress=progress),
        )
    except ValueError as error:  # pooch's for a wrong checksum
        raise DataError(f"{archive.url} does not have its checksum {archive.known_hash}; run it again") from error
    return Path(found)


def _resume(url: str, output: str, _: object, *, partial_file: Path, progress: Progress) -> None:
    """Download the rest of ``partial_file`` and move it to ``output``, which pooch checks."""
    have = partial_file.stat().st_size if partial_file.exists() else 0
    wanted = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(url, headers=wanted, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code != requests.codes.requested_range_not_satisfiable:
            answer.raise_for_status()
            go_on = answer.status_code == requests.codes.partial_content
            have = have if go_on else 0
            total = have + int(answer.headers.get("Content-Length", 0))
            with partial_file.open("ab" if go_on else "wb") as file:
                for chunk in answer.iter_content(CHUNK):
                    have += file.write(chunk)
                    progress(partial_file.stem, have, total)
            if have < total:
                raise OSError(f"the connection ended after {have} of {total} bytes")
    partial_file.replace(output)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar or zip file; raise ``DataError`` for a member that would leave ``folder``, or a damaged file."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                _refuse_outside(file.namelist(), folder, archive)
                file.extractall(folder)  # noqa: S202 - names checked one line above
        elif not hasattr(tarfile, "data_filter"):
            raise DataError(f"{archive}: this Python's tarfile cannot unpack safely; use 3.11.4 or newer")
        else:
            with tarfile.open(archive) as file:
                file.extractall(folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"{archive} cannot be unpacked ({_short(error)}); delete it and fetch it again") from error


def _refuse_outside(names: list[str], folder: Path, archive: Path) -> None:
    for name in names:
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise DataError(f"{archive} holds {name}, which would leave {folder}; do not unpack it")
