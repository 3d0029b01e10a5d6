"""The error of a spec that cannot be."""

from __future__ import annotations


class SpecError(ValueError):
    """A value that no experiment can have, in one sentence for the user."""
