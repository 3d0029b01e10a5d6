"""Unpack the parts of a bundle as they come, and check everything that is there against the manifest."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import repro
from repro.config import machine
from repro.config.errors import BundleError
from repro.runner.bundle import archive
from repro.runner.bundle.manifest import CODE, Manifest

_STATE = "parts.json"
COMMIT = "COMMIT"


@dataclass(frozen=True)
class Unpacked:
    """A bundle below a folder, and the numbers of its parts that are there."""

    manifest: Manifest
    folder: Path
    parts: frozenset[int]

    @property
    def tree(self) -> Path:
        """Folder of the bundle's files."""
        return self.folder / "tree"

    @property
    def missing(self) -> tuple[int, ...]:
        """Numbers of the parts that did not come yet."""
        return tuple(sorted(set(range(1, len(self.manifest.parts) + 1)) - self.parts))


def read(archives: Sequence[Path]) -> tuple[Manifest, dict[int, Path]]:
    """Return the manifest of some parts and the archive of each part's number.

    Raises:
        BundleError: an archive is damaged or no part of a bundle, or they are parts of different bundles.
    """
    found: dict[int, Path] = {}
    first: Manifest | None = None
    for path in archives:
        head = archive.head(path)
        if head is None:
            raise BundleError(f"{path}: no part of a bundle; give the archives that repro bundle make wrote")
        manifest, part = head
        if first is not None and manifest.identity != first.identity:
            raise BundleError(f"{path}: part of another bundle than {archives[0]}; give the parts of one")
        first, found[part] = first or manifest, path
    assert first is not None  # click asks for one archive at least
    return first, found


def default_folder(manifest: Manifest) -> Path:
    """Return the folder of a bundle on this machine, the same for all of its parts."""
    return Path(tempfile.gettempdir()) / f"repro-bundle-{manifest.identity[:12]}"


def unpack(manifest: Manifest, archives: dict[int, Path], folder: Path) -> Unpacked:
    """Unpack parts beside those that are there, and check every file of all of them.

    Raises:
        BundleError: a part before this one is missing, a file is not that of the bundle, or the disk refuses.
    """
    here = _parts_here(manifest, folder)
    for number in range(1, max(archives)):
        if number not in here and number not in archives:
            raise BundleError(
                f"{archives[max(archives)]}: part {max(archives)} of {len(manifest.parts)} came before part {number}; "
                f"give part {number} first, or all of them at once"
            )
    try:
        tree = own(folder) / "tree"
        for number, path in sorted(archives.items()):
            _note(folder, manifest, here - {number})
            archive.unpack_part(path, manifest, number, tree)
            here |= {number}
            _note(folder, manifest, here)
    except OSError as error:
        why = error.strerror or error
        raise BundleError(f"{folder}: cannot be written ({why}); free space or choose another --work") from error
    found = Unpacked(manifest, folder, here)
    whole = [file.path for file in manifest.files if manifest.parts_of([file.path]) <= here]
    if other := archive.changed(manifest, whole, tree):
        raise BundleError(
            f"{tree / other}: not the file that was bundled (another checksum); give its part again or transfer it anew"
        )
    return found


def own(folder: Path) -> Path:
    """Make a folder for this user alone; raise ``BundleError`` for one that another user made under this name."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise BundleError(f"{folder}: belongs to another user; choose another --work")
    return folder


def _parts_here(manifest: Manifest, folder: Path) -> frozenset[int]:
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        if state["identity"] == manifest.identity:
            return frozenset(map(int, state["parts"]))
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()
    raise BundleError(f"{folder}: holds another bundle; choose another --work, or remove it")


def _note(folder: Path, manifest: Manifest, parts: frozenset[int]) -> None:
    (folder / _STATE).write_text(json.dumps({"identity": manifest.identity, "parts": sorted(parts)}), encoding="utf-8")


def check_code(manifest: Manifest, home: Path | None = None) -> None:
    """Refuse a bundle of another code than the one that runs.

    Raises:
        BundleError: a file of the package differs from the bundle's.
    """
    home = home or Path(repro.__file__).parent
    for file in manifest.files:
        top, _, name = file.path.partition("/")
        if top != CODE or name == COMMIT:
            continue
        own = home / name
        if not own.is_file() or archive.digest(own) != file.sha256:
            raise BundleError(
                f"this code is of commit {machine.git_commit() or 'unknown'} and the bundle of {manifest.commit} "
                f"({own} differs); run the bundle's own code: tar -xf PART {CODE}, and python -m repro bundle run there"
            )
