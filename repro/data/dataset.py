"""The interface of a loaded split: names, classes, and image i with its labels."""

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

    ``labelled`` is False where only a test server has the labels; every pixel is then 255.
    ``root`` is the data root, which is only read; ``version`` is that of the loader or the generator.
    ``lists`` are small files that define the images of the split and their classes.
    ``stored`` returns the ids (h, w) of mask ``i`` before translation, where translation loses ids (Cityscapes).
    ``judge`` is called after all images were read; it raises ``DataError`` for a fault of the images together.
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
