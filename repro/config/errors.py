"""Errors for the user, each one sentence, apart from faults of the code or of a library."""

from __future__ import annotations

from collections.abc import Iterable


def near(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` for the known word that a mistyped one is nearest to; empty where none is near."""
    from difflib import get_close_matches

    found = get_close_matches(word.lower(), list(known), 1)
    return f"; did you mean {found[0]}?" if found else ""


EXTRAS = {
    "filelock": "train", "lightning_fabric": "train",
    "cityscapesscripts": "data", "pooch": "data", "pycocotools": "data", "requests": "data",
    "pydensecrf": "crf",
    "matplotlib": "figures", "seaborn": "figures",
    "fvcore": "counts",
    "ray": "ray",
}  # fmt: skip
"""Module -> the extra of this package that installs it."""


def lacking(error: ImportError) -> str:
    """Return the sentence on a module of an extra that is not installed; empty for any other module."""
    name = (error.name or "").partition(".")[0]
    return f'{name} is not installed here; pip install "gcn-repro[{EXTRAS[name]}]"' if name in EXTRAS else ""


class WorkError(ValueError):
    """A job that cannot be done as asked, in one sentence."""


def is_ours(error: BaseException) -> bool:
    """Say whether an error is one sentence for the user: a ``ValueError`` that this package defined and raised."""
    return isinstance(error, ValueError) and type(error).__module__.split(".")[0] == "repro"


class SpecError(ValueError):
    """A value that no experiment can have, in one sentence for the user."""


class AnswerError(ValueError):
    """An answer that cannot be entered or read, in one sentence."""


class ArrayError(ValueError):
    """An archive that cannot be read: why, without the file's name."""


class BundleError(ValueError):
    """A bundle that cannot be made, run or merged, in one sentence."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be written or does not belong to the run, in one sentence."""


class CRFError(ValueError):
    """Maps or settings that cannot be refined, in one sentence for the user."""


class DataError(ValueError):
    """Data that cannot be used as asked, in one sentence: the thing, the place and the remedy."""


class AbsentError(DataError):
    """A data set or split that is absent; the ones that are present have no fault."""


class SubmissionError(DataError):
    """A submission that the server would refuse or misread, in one sentence."""


class EvaluationError(ValueError):
    """Counts that cannot be those of one evaluation, in one sentence."""


class MetricError(ValueError):
    """Counts or label maps that have no score, in one sentence for the user."""


class WeightsError(ValueError):
    """Weights that do not fit the network, in one sentence."""


class PaperError(ValueError):
    """A damaged ``paper.toml``, or a number that the paper does not print, in one sentence."""


class RecordError(ValueError):
    """A record that cannot be read or written, in one sentence."""


class RegionError(ValueError):
    """A label map or an option without regions, in one sentence for the user."""


class FigureError(ValueError):
    """A figure that cannot be drawn, in one sentence with the command that helps."""


class ReportError(ValueError):
    """A report that cannot be made or written, in one sentence."""


class VRFError(ValueError):
    """A receptive field that cannot be measured, in one sentence for the user."""
