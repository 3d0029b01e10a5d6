"""Exported weights (float16): the file names the sha256 of its source and of its own tensors.

Such a file may replace the weights of a record, whose checksum it cannot have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repro.results import sealed

SOURCE, CONTENT = "source_sha256", "content_sha256"
"""Names in the file's metadata."""
_PREFIX = 8
"""Bytes that hold the header's length."""
_MOST = 1 << 26
_METADATA = "__metadata__"


def signed(data: bytes, metadata: Mapping[str, str], source: str) -> bytes:
    """Return a safetensors file with metadata and the checksum of its tensors, deterministically.

    Args:
        data: the file without metadata.
        metadata: texts by name.
        source: sha256 of the weights that it was made from.

    Raises:
        ValueError: the header is damaged.
    """
    header, start = _header(data[:_PREFIX], data[_PREFIX:])
    texts = {**metadata, SOURCE: source, CONTENT: _digest(header, data[start:])}
    text = json.dumps({_METADATA: dict(sorted(texts.items())), **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _PREFIX)
    return len(text).to_bytes(_PREFIX, "little") + text + data[start:]


def origin(path: Path) -> Mapping[str, str] | None:
    """Return ``SOURCE`` and ``CONTENT`` of an intact exported file; None for a file without them.

    Raises:
        OSError: it cannot be read.
        ValueError: it was exported with them and is damaged.
    """
    with path.open("rb") as file:
        prefix = file.read(_PREFIX)
        length = int.from_bytes(prefix, "little")
        if length > _MOST:
            return None
        try:
            header, _ = _header(prefix, file.read(length))
        except ValueError:
            return None
        metadata = header.get(_METADATA)
        if not isinstance(metadata, dict) or not {SOURCE, CONTENT} <= metadata.keys():
            return None
        if _digest(header, file.read()) != metadata[CONTENT]:
            raise ValueError("its tensors are not those that were exported (the checksum differs)")
    return {name: str(metadata[name]) for name in (SOURCE, CONTENT)}


def first_source(path: Path) -> str:
    """Return the sha256 of the weights that a file was exported from; its own where it was not exported.

    Raises:
        OSError: it cannot be read.
        ValueError: it was exported and is damaged.
    """
    made = origin(path)
    if made is not None:
        return made[SOURCE]
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _header(prefix: bytes, rest: bytes) -> tuple[dict[str, Any], int]:
    """Return the header and the offset of the values in the file."""
    length = int.from_bytes(prefix, "little")
    tree = sealed.parse(rest[:length])
    if not isinstance(tree, dict):
        raise ValueError("the header is no mapping")  # noqa: TRY004 - a damaged file, not a wrong argument
    return tree, _PREFIX + length


def _digest(header: Mapping[str, Any], values: bytes) -> str:
    tensors = {name: value for name, value in header.items() if name != _METADATA}
    return hashlib.sha256(sealed.checksum(tensors).encode() + values).hexdigest()
