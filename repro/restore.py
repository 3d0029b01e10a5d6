"""Rebuild a run from the tree that its record holds; the key tells whether it came back whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repro import experiment, spec
from repro.experiment import Run
from repro.records import Record, RecordError

NOUNS: Mapping[str, type] = {
    kind.__name__: kind
    for kind in (
        experiment.Run, experiment.Recipe, experiment.Source, experiment.Start, spec.Model, spec.Classifier,
        spec.Evaluation, spec.CRF, spec.GCN, spec.Conv1x1, spec.Conv, spec.Stack,
    )
}  # fmt: skip


def run_of(record: Record) -> Run:
    """Return the run that left a record.

    Raises:
        RecordError: the record was written by a version whose runs this one cannot express.
    """
    try:
        run = _value(record.meta["spec"])
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(_fault(record)) from error
    if not isinstance(run, Run) or run.key != record.key:
        raise RecordError(_fault(record))
    return run


def _fault(record: Record) -> str:
    return f"{record.folder}: written by another version of the suite; run it again, or use the version that wrote it"


def _value(tree: Any) -> Any:  # noqa: ANN401 - a tree of plain values
    """Return the nouns of a canonical tree; every sequence in them is a tuple."""
    if isinstance(tree, Mapping):
        fields = {name: _value(value) for name, value in tree.items() if name != "type"}
        return NOUNS[tree["type"]](**fields)
    if isinstance(tree, list):
        return tuple(_value(item) for item in tree)
    return tree
