"""A clock that a test moves."""

from __future__ import annotations


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        """Start at an odd time."""
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now
