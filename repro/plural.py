"""Counted nouns."""

from __future__ import annotations


def many(count: int, noun: str) -> str:
    """Return ``1 seed`` or ``3 seeds``."""
    return f"{count} {noun}{'s' * (count != 1)}"
