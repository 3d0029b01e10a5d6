"""Training batches as a pure function of seed and step, in reused buffers; images for evaluation."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from repro.config.dataset_info import IMAGENET_MEAN, IMAGENET_STD
from repro.config.errors import DataError
from repro.config.experiment import Source
from repro.data.augment import blanks, centre_crop, permutation, scaled, scaled_size, span, uniform, window
from repro.data.cache import Store
from repro.data.dataset import Bytes
from repro.data.normalise import Array, in_place, normalise

HALF = 0.5
"""Share of the images that a recipe mirrors."""


@dataclass(frozen=True)
class Piece:
    """The augmentation of one image of a batch: scaling, rotation, crop, mirroring, in this order."""

    store: int
    index: int
    """Of the image in its store."""
    scaled: tuple[int, int] | None
    """Height and width that the image is scaled to; None where a recipe scales nothing."""
    reduced: bool
    """Whether it is scaled by area, to fewer pixels."""
    turns: int
    """Quarter turns clockwise."""
    top: int
    left: int
    height: int
    width: int
    mirrored: tuple[bool, bool]
    """Top to bottom, left to right."""


@dataclass(frozen=True)
class Batches:
    """Training batches from one store or several (a mix), each image padded or cropped to ``source``'s frame.

    ``batch(step)`` depends on nothing but the fields and the step, so a resumed run needs no replay; with ``world``
    processes each makes its own share of the same global batch. Images are padded at the bottom and on the right,
    never resized (unless ``scale`` asks for it as an augmentation); where scaling or ``source.crop`` leaves an image
    larger than the frame, a random window is taken. A batch is read-only: its memory is reused once no reference to it
    is left, and padding is not written again.

    Raises:
        DataError: an image does not fit its frame, the share is not whole, or the stores differ in classes.
    """

    stores: Sequence[Store]
    source: Source
    batch_size: int
    seed: int
    flip: bool = True
    flip_vertical: bool = False
    rotate: bool = False
    scale: tuple[float, float] = (1.0, 1.0)
    rank: int = 0
    world: int = 1
    _starts: NDArray[np.int64] = field(init=False, repr=False, compare=False)
    _pools: tuple[Pool, Pool, Pool] = field(init=False, repr=False, compare=False)
    """Frames for bytes, for labels, for normalised images."""

    def __post_init__(self) -> None:
        """Check that every image fits, and number the images of all stores."""
        if self.batch_size % self.world or not 0 <= self.rank < self.world:
            raise DataError(f"a batch of {self.batch_size} does not divide among {self.world} processes; change one")
        if len({(store.classes, store.kind) for store in self.stores}) != 1:
            raise DataError("a mix needs stores of the same classes and kind; choose others")
        if not self.source.height or not self.source.width:
            raise DataError(f"training on {self.source.dataset} needs a frame; give its height and width")
        for store in self.stores:
            self._check_fit(store)
        object.__setattr__(self, "_starts", np.cumsum([0, *(len(store) for store in self.stores)]))
        zero = np.zeros((*self._frame, 3), np.float32)
        share = self.batch_size // self.world
        object.__setattr__(self, "_pools", tuple(Pool(share, blank) for blank in (*blanks(*self._frame), zero)))

    def _check_fit(self, store: Store) -> None:
        if self.source.crop or self.scale[1] > 1.0:
            return
        sides = np.sort(store.sizes, axis=1) if self.rotate else store.sizes
        frame = sorted((self.source.height, self.source.width)) if self.rotate else self._frame
        turned = self.rotate and frame[0] != frame[1] and (sides.max() > frame[0])
        bad = np.flatnonzero((sides > np.array(frame)).any(axis=1) | turned)
        if bad.size:
            h, w = store.sizes[bad[0]]
            raise DataError(
                f"image {store.ids[bad[0]]} of {store.name} is {h}x{w} and does not fit the frame "
                f"{self.source.height}x{self.source.width} (h x w); enlarge the frame or set crop"
            )

    @property
    def _frame(self) -> tuple[int, int]:
        return self.source.height, self.source.width

    def __len__(self) -> int:
        """Return the number of images of all stores."""
        return int(self._starts[-1])

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images (n, 3, h, w) uint8, channels last, and labels (n, h, w) uint8 or (n,) int64 for a step."""
        images, labels, _ = self.draw(step)
        return images, labels

    def draw(self, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return ``batch(step)`` and the size (n, 2) of each image within its frame; the rest is padding."""
        return self._drawn(step, self._pools[0])

    def _drawn(
        self, step: int, pool: Pool, finish: Callable[[Array], object] = lambda _: None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return images in frames of this pool, each finished in place, labels and sizes of a step."""
        chosen, draws = self._share(step)
        (pictures, images), sizes = pool.take(), np.empty((len(chosen), 2), np.int64)
        whole = self.stores[0].kind == "classification"
        masks, labels = (None, np.empty(len(chosen), np.int64)) if whole else self._pools[1].take()
        for j, index in enumerate(chosen.tolist()):
            image, target = self._augmented(index, draws[j])
            sizes[j] = image.shape[:2]
            finish(pictures.put(j, image))
            if masks is None:
                labels[j] = target
            else:
                masks.put(j, target)
        return torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels), torch.from_numpy(sizes)

    def ready(
        self,
        step: int,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        device: torch.device | str = "cpu",
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the normalised images (n, 3, h, w) float32 and the labels of a step, on the device."""
        if torch.device(device).type == "cpu":
            # Image by image, while it is in the CPU's cache; padding stays zero.
            return self._drawn(step, self._pools[2], lambda image: in_place(image, mean, std, self.source.width))[:2]
        images, labels, sizes = self.draw(step)
        if torch.device(device).type == "cuda":
            images, labels = images.pin_memory(), labels.pin_memory()
        images, labels = (part.to(device, non_blocking=True) for part in (images, labels))
        return normalise(images, mean, std, sizes), labels

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return the global batch of a step (batch_size,): every epoch is one permutation of all images."""
        n = len(self)
        epochs, places = np.divmod(step * self.batch_size + np.arange(self.batch_size), n)
        orders = {int(epoch): permutation(self.seed, int(epoch), n) for epoch in np.unique(epochs)}
        return np.array([orders[int(e)][p] for e, p in zip(epochs, places, strict=True)], dtype=np.int64)

    def pieces(self, step: int) -> list[Piece]:
        """Return the augmentation of each image of this process's share of ``batch(step)``."""
        chosen, draws = self._share(step)
        return [self._piece(index, draw) for index, draw in zip(chosen.tolist(), draws, strict=True)]

    def _share(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return this process's images of a step (n,) and the random draws of each, (n, 8) in [0, 1)."""
        share = self.batch_size // self.world
        mine = slice(self.rank * share, (self.rank + 1) * share)
        return self.indices(step)[mine], uniform(self.seed, step, 8 * self.batch_size).reshape(-1, 8)[mine]

    def _piece(self, index: int, draws: NDArray[np.float64]) -> Piece:
        part, i = self._located(index)
        h, w = self.stores[part].sizes[i].tolist()
        factor = self._factor(draws[0])
        scaled = None if factor is None else scaled_size((h, w), factor)
        turns = int(draws[1] * 4) if self.rotate else 0
        sides = (scaled or (h, w))[:: -1 if turns % 2 else 1]
        spans = [span(n, most, float(draw)) for n, most, draw in zip(sides, self._frame, draws[2:4], strict=True)]
        mirrored = (bool(self.flip_vertical and draws[5] < HALF), bool(self.flip and draws[4] < HALF))
        return Piece(
            part, i, scaled, factor is not None and factor < 1, turns,
            spans[0][0], spans[1][0], spans[0][1], spans[1][1], mirrored,
        )  # fmt: skip

    def _factor(self, draw: float) -> float | None:
        """Return the scale factor of a draw from [0, 1); None without scaling."""
        low, high = self.scale
        return None if (low, high) == (1.0, 1.0) else low + (high - low) * float(draw)

    def _located(self, index: int) -> tuple[int, int]:
        """Return the store of an image of the mix, and its number there."""
        part = int(self._starts.searchsorted(index, side="right")) - 1
        return part, index - int(self._starts[part])

    def _augmented(self, index: int, draws: NDArray[np.float64]) -> tuple[Bytes, Any]:
        part, i = self._located(index)
        store = self.stores[part]
        pair = [store.image(i), store.labels(i)]
        if (factor := self._factor(draws[0])) is not None:
            pair = scaled(pair, factor)
        if self.rotate and (turns := int(draws[1] * 4)):
            pair = [cv2.rotate(x, turns - 1) if x.ndim else x for x in pair]  # type: ignore[misc]
        if pair[0].shape[0] > self.source.height or pair[0].shape[1] > self.source.width:
            pair = [window(x, self._frame, draws[2], draws[3]) for x in pair]
        if self.flip and draws[4] < HALF:
            pair = [cv2.flip(x, 1) if x.ndim else x for x in pair]  # type: ignore[misc]
        if self.flip_vertical and draws[5] < HALF:
            pair = [cv2.flip(x, 0) if x.ndim else x for x in pair]  # type: ignore[misc]
        return pair[0], pair[1]


def eval_images(
    store: Store, source: Source | None = None, rank: int = 0, world: int = 1
) -> Iterator[tuple[int, Bytes, Any]]:
    """Yield (i, image (h, w, 3), labels (h, w) or class) of every ``world``-th image from ``rank`` on, native size.

    With a classification store and a ``source``, images are cut to its frame about their centre (section 4.2.1: 224
    of 256); nothing else is ever cut or resized.
    """
    for i in range(rank, len(store), world):
        image, labels = store.image(i), store.labels(i)
        if store.kind == "classification":
            yield i, centre_crop(image, source.height, source.width) if source else image, int(labels)
        else:
            yield i, image, labels


class Frames:
    """The frames (n, h, w, ...) of one batch. Images lie at their upper left, padding below and on the right."""

    def __init__(self, count: int, blank: Array) -> None:
        """Allocate ``count`` frames of padding (h, w, ...)."""
        self._whole = np.broadcast_to(blank, (count, *blank.shape)).copy()
        self._blank, self._covered = blank, [(0, 0)] * count
        self._lent: Callable[[], Array | None] = lambda: None

    @property
    def free(self) -> bool:
        """Whether no reference to the last loan is left, nor a tensor that shares its memory."""
        return self._lent() is None

    def lend(self) -> Array:
        """Return all frames as an array to hand out; while it lives, they are not free."""
        loan = self._whole.view()
        self._lent = weakref.ref(loan)
        return loan

    def put(self, j: int, part: Array) -> Array:
        """Copy an image into frame ``j``, pad the rest of the previous image's area, return the image's view."""
        (h, w), (bottom, right) = part.shape[:2], self._covered[j]
        frame, blank = self._whole[j], self._blank
        place: Array = frame[:h, :w]
        place[...] = part
        if h < bottom:
            frame[h:bottom, :right] = blank[h:bottom, :right]
        if w < right:
            frame[:h, w:right] = blank[:h, w:right]
        self._covered[j] = h, w
        return place


class Pool:
    """Sets of frames, as many as are in use at a time; thread-safe."""

    def __init__(self, count: int, blank: Array) -> None:
        """Take the arguments of ``Frames``; allocation is lazy."""
        self._count, self._blank, self._all, self._lock = count, blank, list[Frames](), Lock()

    def take(self) -> tuple[Frames, Array]:
        """Return free frames and the array to hand out."""
        with self._lock:
            frames = next((frames for frames in self._all if frames.free), None)
            if frames is None:
                self._all.append(frames := Frames(self._count, self._blank))
            return frames, frames.lend()
