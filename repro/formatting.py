"""Numbers, durations and counted nouns as text."""

from __future__ import annotations

import math


def many(count: int, noun: str) -> str:
    """Return ``1 seed`` or ``3 seeds``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def clock(seconds: float) -> str:
    """Return ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def metric(number: float) -> str:
    """Return a number with one decimal and an SI prefix, such as ``58.7 M``."""
    size = min(max(0, int(math.log10(number) // 3)), len(PREFIXES) - 1) if number > 0 else 0
    return f"{number / 1000**size:,.1f} {PREFIXES[size]}".rstrip()


DASH = "–"  # noqa: RUF001 - an en dash marks a missing number
MINUS = "−"  # noqa: RUF001 - a minus sign lines up with the plus


def signed(value: float, decimals: int = 1) -> str:
    """Return a difference with its sign; a dash for nan. A value that rounds to 0 has no sign."""
    if not math.isfinite(value):
        return DASH
    text = f"{abs(value):,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        return text
    return ("+" if value > 0 else MINUS) + text


HOUR = 3600.0


def duration(seconds: float) -> str:
    """Return a duration to about two digits: ``40 s``, ``12 min``, ``3.5 h``, ``4.2 days``."""
    for size, unit, most in ((1.0, "s", 90), (60.0, "min", 90), (HOUR, "h", 48)):
        if seconds < most * size:
            whole = seconds / size
            return f"{whole:.1f} {unit}" if unit == "h" and whole < 10 else f"{whole:.0f} {unit}"  # noqa: PLR2004
    return f"{seconds / HOUR / 24:,.1f} days"
