"""Sizes as they are typed: ``60M`` (MiB), ``500K``, ``2G``."""

from __future__ import annotations

import re

from repro.config.errors import BundleError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMG]?)(?:iB|B)?", re.IGNORECASE)
_FACTORS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


def size(text: str, option: str) -> int:
    """Return a number of bytes; raise ``BundleError`` for anything else, and for none."""
    found = _SIZE.fullmatch(text.strip())
    total = int(float(found.group(1)) * _FACTORS[found.group(2).upper()]) if found else 0
    if total <= 0:
        raise BundleError(f"{option} {text}: give a size above zero, such as 60M, 500K or 2G")
    return total
