"""Rebuild a run from its record; its key must be the record's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repro.config import experiment
from repro.config.errors import RecordError
from repro.config.experiment import Run
from repro.config.networks import HEADS, Classifier, Model
from repro.results.records import Record

NOUNS: Mapping[str, type] = {
    kind.__name__: kind
    for kind in (
        experiment.Run, experiment.Recipe, experiment.Source, experiment.Start, Model, Classifier,
        experiment.Evaluation, experiment.CRF, *HEADS,
    )
}  # fmt: skip
_OTHER_VERSION = "written by another version of the suite; run it again, or use the version that wrote it"


def run_of(record: Record) -> Run:
    """Return the run of a record.

    Raises:
        RecordError: the record was written by a version whose runs this one cannot express.
    """
    try:
        return rebuilt(record.meta["spec"], record.key)
    except (KeyError, RecordError) as error:
        raise RecordError(f"{record.folder}: {_OTHER_VERSION}") from error


def rebuilt(tree: Any, key: str) -> Run:  # noqa: ANN401 - a tree of plain values
    """Return the run of a canonical tree.

    Raises:
        RecordError: the tree is that of no run of this version, or of one with another key.
    """
    try:
        run = _value(tree)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"key {key}: {_OTHER_VERSION}") from error
    if not isinstance(run, Run) or run.key != key:
        raise RecordError(f"key {key}: {_OTHER_VERSION}")
    return run


def _value(tree: Any) -> Any:  # noqa: ANN401 - a tree of plain values
    """Return the nouns of a canonical tree; every sequence in them is a tuple."""
    if isinstance(tree, Mapping):
        fields = {name: _value(value) for name, value in tree.items() if name != "type"}
        return NOUNS[tree["type"]](**fields)
    if isinstance(tree, list):
        return tuple(_value(item) for item in tree)
    return tree
