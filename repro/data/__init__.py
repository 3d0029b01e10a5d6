"""Data sets by name: ``load("voc", "train", root)``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from repro.config import dataset_info
from repro.config.errors import DataError, lacking
from repro.data.dataset import IGNORE_INDEX, Dataset

__all__ = ["IGNORE_INDEX", "DataError", "Dataset", "load"]


def load(dataset: str, split: str, root: Path | None = None) -> Dataset:
    """Load a split of a data set; its loader is imported here, so that no data set needs the libraries of another.

    Args:
        dataset: a name of ``dataset_info.DATASETS``.
        split: one of its ``images``.
        root: folder with the published folders of the data sets; only read. Generated ones need none.

    Raises:
        DataError: an unknown name or split, or a root that does not hold the data set whole.
    """
    info = dataset_info.get(dataset)
    if split not in info.images:
        raise DataError(f"split {split!r} is not one of {dataset}; choose from {', '.join(info.images)}")
    if root is None and not info.generated:
        raise DataError(f"{dataset} needs a data root; give its folder by --data-root or REPRO_DATA")
    try:
        found: Dataset = import_module(info.loader).load(info, split, root)
    except ModuleNotFoundError as error:
        raise DataError(f"{dataset}: {lacking(error) or error}") from error
    return found
