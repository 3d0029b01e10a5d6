"""Times and sizes as they are typed: ``90``, ``90s``, ``9m``, ``1h30m``; ``60M`` (MiB), ``500K``, ``2G``."""

from __future__ import annotations

import re

from repro.bundle.manifest import BundleError

_TIME = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMG]?)(?:iB|B)?", re.IGNORECASE)
_FACTORS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


def seconds(text: str, option: str) -> float:
    """Return a length of time in seconds; raise ``BundleError`` for anything else, and for none."""
    found = _TIME.fullmatch(text.strip())
    total = 0.0
    if found is not None:
        hours, minutes, rest = found.groups()
        total = 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(rest or 0)
    if total <= 0:
        raise BundleError(f"{option} {text}: give a time above zero, such as 90, 90s, 9m or 1h30m")
    return total


def size(text: str, option: str) -> int:
    """Return a number of bytes; raise ``BundleError`` for anything else, and for none."""
    found = _SIZE.fullmatch(text.strip())
    total = int(float(found.group(1)) * _FACTORS[found.group(2).upper()]) if found else 0
    if total <= 0:
        raise BundleError(f"{option} {text}: give a size above zero, such as 60M, 500K or 2G")
    return total
