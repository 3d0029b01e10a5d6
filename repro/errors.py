"""Tell the suite's own sentences, which are meant for a user, from faults of its code or a library."""

from __future__ import annotations


def is_ours(error: BaseException) -> bool:
    """Say whether an error is one sentence for the user: a ``ValueError`` that this package defined and raised."""
    return isinstance(error, ValueError) and type(error).__module__.split(".")[0] == "repro"
