"""Errors that are meant for a user, told from faults of the code or of a library."""

from __future__ import annotations


class WorkError(ValueError):
    """A job that cannot be done as asked, in one sentence."""


def is_ours(error: BaseException) -> bool:
    """Say whether an error is one sentence for the user: a ``ValueError`` that this package defined and raised."""
    return isinstance(error, ValueError) and type(error).__module__.split(".")[0] == "repro"
