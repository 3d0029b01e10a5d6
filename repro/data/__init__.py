"""Data sets by name: ``load("voc", "train", root)``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from repro.config.errors import DataError, lacking
from repro.data.dataset import IGNORE_INDEX, Dataset, concatenate

__all__ = ["IGNORE_INDEX", "NAMES", "DataError", "Dataset", "concatenate", "counts", "load", "splits"]

NAMES = ("shapes", "voc", "coco", "cityscapes", "imagenet", "camvid", "camvid_half")


def load(dataset: str, split: str, root: Path | None = None) -> Dataset:
    """Load a split of a data set; ``a+b`` with splits ``x+y`` loads a mix of both.

    Args:
        dataset: one of ``NAMES``, or several joined by ``+``.
        split: one of ``splits(dataset)``; one for each part of a mix.
        root: folder with the published folders of the data sets; only read. ``shapes`` needs none.

    Raises:
        DataError: an unknown name or split, or a root that does not hold the data set whole.
    """
    if "+" in dataset:
        return _load_mix(dataset.split("+"), split.split("+"), root)
    if split not in (known := splits(dataset)):
        raise DataError(f"split {split!r} is not one of {dataset}; choose from {', '.join(known)}")
    if root is None and dataset != "shapes":
        raise DataError(f"{dataset} needs a data root; give its folder by --data-root or REPRO_DATA")
    found: Dataset = _module(dataset).load(split, root)
    return found


def _module(dataset: str) -> Any:  # noqa: ANN401 - a loader: SPLITS, CLASSES and load(split, root)
    """Import a loader when it is asked for: no data set pays for another's libraries."""
    if dataset not in NAMES:
        raise DataError(f"data set {dataset!r} is unknown; choose from {', '.join(NAMES)}")
    try:
        return import_module(f"repro.data.{dataset}")
    except ModuleNotFoundError as error:
        raise DataError(f"{dataset}: {lacking(error) or error}") from error


def _load_mix(names: list[str], parts: list[str], root: Path | None) -> Dataset:
    if len(names) != len(parts):
        raise DataError(f"mix {'+'.join(names)} needs {len(names)} splits joined by '+', got {'+'.join(parts)!r}")
    return concatenate([load(name, part, root) for name, part in zip(names, parts, strict=True)])


def splits(dataset: str) -> tuple[str, ...]:
    """Return the names of a data set's splits; raise ``DataError`` for an unknown data set."""
    found: tuple[str, ...] = _module(dataset).SPLITS
    return found


def counts(dataset: str) -> dict[str, int]:
    """Return the number of images that the paper prints for a data set's splits (none for most)."""
    return dict(getattr(_module(dataset), "COUNTS", {}))
