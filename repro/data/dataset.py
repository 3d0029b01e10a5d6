"""What every data set gives: names, classes, and image i with its labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from repro.config import dataset_info
from repro.config.errors import DataError

IGNORE_INDEX = 255
"""Label of pixels that are neither trained on nor scored ("void")."""

Bytes = NDArray[np.uint8]
Colour = dataset_info.Colour
Kind = Literal["segmentation", "classification"]
Item = tuple[Bytes, Any]
"""Image (h, w, 3) RGB, and labels (h, w) uint8 or one class as an int."""


@dataclass(frozen=True)
class Dataset:
    """One split of a data set, decoded when read.

    ``labelled`` is False where the labels are kept by a test server; every pixel then reads 255.
    ``root`` is the folder that is only ever read; ``version`` names what is not in files: the loader's version, a
    generator's code. ``lists`` are small files that decide which images there are and what their classes mean.
    ``stored`` gives the ids (h, w) of mask ``i`` before they become labels, where that takes from them (Cityscapes).
    ``judge`` is called once every image was read; it raises ``DataError`` where the images together show a fault.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    ids: tuple[str, ...]
    reader: Callable[[int], Item] = field(repr=False, compare=False)
    files: Callable[[int], tuple[Path, ...]] = field(repr=False, compare=False, default=lambda _: ())
    kind: Kind = "segmentation"
    labelled: bool = True
    root: Path | None = None
    version: str = ""
    lists: tuple[Path, ...] = ()
    judge: Callable[[], None] = field(repr=False, compare=False, default=lambda: None)
    stored: Callable[[int], Bytes] | None = field(repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        """Refuse a split without images, and one that holds a name twice."""
        if not self.ids:
            raise DataError(f"{self.name}/{self.split} holds no images{_at(self.root)}; check the data root")
        if len(set(self.ids)) != len(self.ids):
            twice = next(name for name in sorted(self.ids) if self.ids.count(name) > 1)
            raise DataError(f"{self.name}/{self.split} lists {twice} twice{_at(self.root)}; remove one of the two")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    def read(self, i: int) -> Item:
        """Decode image ``i``: (h, w, 3) uint8 RGB, and its labels (h, w) uint8 with 255 void, or its class.

        Raises:
            DataError: a file is unreadable, a mask has another size than its image, or a label is outside the classes.
        """
        return self.reader(i)

    def sources(self, i: int) -> tuple[Path, ...]:
        """Return the files that image ``i`` and its labels are decoded from."""
        return self.files(i)


def _at(root: Path | None) -> str:
    return f" in {root}" if root else ""
