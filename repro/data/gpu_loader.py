"""Stores in GPU memory: batches are scaled, cropped, rotated and flipped there, a step ahead on a side stream."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repro.config.dataset_info import IMAGENET_MEAN, IMAGENET_STD
from repro.config.experiment import Source
from repro.data.augment import FILL
from repro.data.cache import Store
from repro.data.dataset import IGNORE_INDEX
from repro.data.loader import Batches, Piece
from repro.data.normalise import normalise
from repro.data.resize import Scaling, Taps, nearest, scaling

SHARE = 0.25
"""Part of a GPU's free memory, and of this process's share of the GPU, that the pixels may take."""

CHUNK = 2**26
"""Bytes copied at a time."""
_LOG = logging.getLogger(__name__)
Ints = NDArray[np.int64]


def fits(batches: Batches, device: torch.device) -> bool:
    """Return whether batches can be made on a device: a GPU with room for the pixels of all stores.

    Where images are scaled it must also do so to OpenCV's bytes (``agrees``), since they are part of what a recipe
    means; a warning names an OpenCV that has others.
    """
    if device.type != "cuda":
        return False
    free, total = torch.cuda.mem_get_info(device)
    own = torch.cuda.get_per_process_memory_fraction(device.index) * total
    if sum(store.mapped.size for store in batches.stores) > SHARE * min(free, own):
        return False
    if batches.scale == (1.0, 1.0) or agrees(batches.scale, device):
        return True
    _LOG.warning("OpenCV %s scales otherwise than the device does; batches are made on the host", cv2.__version__)
    return False


class Resident:
    """The same batches as ``Batches``, byte for byte, from pixels in the device's memory."""

    def __init__(self, batches: Batches, device: torch.device | str) -> None:
        """Keep the batches; the pixels are copied at the first step."""
        self.batches, self.device = batches, torch.device(device)

    @cached_property
    def pixels(self) -> Tensor:
        """The bytes of all stores, concatenated, on the device."""
        held = torch.empty(int(self.offsets[-1]), dtype=torch.uint8, device=self.device)
        for store, offset in zip(self.batches.stores, self.offsets.tolist(), strict=False):
            for start in range(0, store.pixels.size, CHUNK):
                part = torch.from_numpy(np.array(store.pixels[start : start + CHUNK]))
                held[offset + start : offset + start + len(part)] = part.to(self.device)
        return held

    @cached_property
    def offsets(self) -> Ints:
        """First byte of each store."""
        return np.cumsum([0, *(store.mapped.size for store in self.batches.stores)])

    @cached_property
    def _triples(self) -> Tensor:
        """The three bytes from each byte on, a view (bytes - 2, 3) of the same memory: one row is a pixel."""
        return self.pixels.as_strided((len(self.pixels) - 2, 3), (1, 1))

    @cached_property
    def _constants(self) -> tuple[Tensor, Tensor, Tensor]:
        """Rows (1, h, 1) and columns (1, 1, w) of the frame, and the colour of padding, on the device."""
        frame = self.batches.source
        y, x = torch.arange(frame.height)[None, :, None], torch.arange(frame.width)[None, None]
        return y.to(self.device), x.to(self.device), torch.tensor(FILL, dtype=torch.uint8).to(self.device)

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return images (n, 3, h, w) uint8, channels last, labels, both on the device, and sizes (n, 2) on the host."""
        pieces = self.batches.pieces(step)
        sizes = torch.tensor([(piece.height, piece.width) for piece in pieces])
        alike: dict[tuple[object, ...], list[_Lines]] = {}
        for number, piece in enumerate(pieces):
            lines = self._lines(number, piece)
            alike.setdefault((lines.dtype, piece.turns % 2), []).append(lines)
        images, labels = self._in_order([(group, *self._gathered(group)) for group in alike.values()])
        if self.batches.stores[0].kind == "classification":
            targets = torch.tensor([int(self.batches.stores[p.store].labels(p.index)) for p in pieces])
            return images.permute(0, 3, 1, 2), self._sent(targets), sizes
        return images.permute(0, 3, 1, 2), labels, sizes

    def ready(
        self,
        step: int,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> tuple[Tensor, Tensor]:
        """Return the normalised images (n, 3, h, w) float32 and the labels of a step, on the device."""
        images, labels, sizes = self.batch(step)
        return normalise(images, mean, std, sizes), labels

    def _sent(self, values: Tensor) -> Tensor:
        """Copy values to the device asynchronously."""
        return (values.pin_memory() if self.device.type == "cuda" else values).to(self.device, non_blocking=True)

    @staticmethod
    def _in_order(made: list[tuple[list[_Lines], Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Return the images and labels of all groups in the batch's order."""
        if len(made) == 1:
            return made[0][1], made[0][2]
        places = sorted((lines.number, g, j) for g, (group, _, _) in enumerate(made) for j, lines in enumerate(group))
        return torch.stack([made[g][1][j] for _, g, j in places]), torch.stack([made[g][2][j] for _, g, j in places])

    def _lines(self, number: int, piece: Piece) -> _Lines:
        """Return the stored rows and columns that each row and column of a piece's frame is made of."""
        store, frame = self.batches.stores[piece.store], self.batches.source
        old: tuple[int, int] = tuple(store.sizes[piece.index].tolist())
        new = piece.scaled or old
        y = _line(piece.top, piece.height, frame.height, mirrored=piece.mirrored[0])
        x = _line(piece.left, piece.width, frame.width, mirrored=piece.mirrored[1])
        # The row and the column in the image as scaled, before the quarter turns; either follows one axis of the frame.
        row, column = ((y, x), (new[0] - 1 - x, y), (new[0] - 1 - y, new[1] - 1 - x), (x, new[1] - 1 - y))[piece.turns]
        if piece.scaled is None:
            how, labels = None, (row, column)
        else:
            how = scaling(old, new, reduce=piece.reduced)
            labels = nearest(old[0], new[0])[row], nearest(old[1], new[1])[column]
        first = int(self.offsets[piece.store]) + int(store.starts[piece.index])
        return _Lines(number, piece, first, old, row, column, how, labels)

    def _gathered(self, group: list[_Lines]) -> tuple[Tensor, Tensor]:
        """Return images (n, h, w, 3) and labels (n, h, w) of pieces with the same scaling and rotation."""
        taps = [max(lines.taps[axis] for lines in group) for axis in (0, 1)]
        turned = bool(group[0].piece.turns % 2)
        table = _Table(self._sent(torch.from_numpy(np.stack([lines.integers(taps) for lines in group]))), turned=turned)
        first, area, height, width = (table.take(1) for _ in range(4))
        lengths = len(group[0].row), len(group[0].column)
        rows, columns = (table.lines(axis, count, lengths[axis]) for axis, count in enumerate(taps))
        rows, columns = [first + 3 * row for row in rows], [3 * column for column in columns]
        y, x, fill = self._constants
        inside = (y < height) & (x < width)

        def cells(i: int, j: int) -> Tensor:
            """Return the colours of a pixel a cell, (n, h, w, 3)."""
            found: Tensor = self._triples[rows[i] + columns[j]]
            return found

        if group[0].how is None:
            images = cells(0, 0)
        else:
            weights = _Table(
                self._sent(torch.from_numpy(np.stack([lines.weights(taps) for lines in group]))), turned=turned
            )
            share = weights.take(1)[..., None]
            down, across = (
                [line[..., None] for line in weights.lines(axis, count, lengths[axis])]
                for axis, count in enumerate(taps)
            )
            images = _sum(cells, down, across, share)
        images = torch.where(inside[..., None], images, fill)
        if self.batches.stores[0].kind == "classification":
            return images, images
        row, column = (table.lines(axis, 1, lengths[axis])[0] for axis in (0, 1))
        labels = torch.where(inside, self.pixels[first + 3 * area + row + column], IGNORE_INDEX)
        return images, labels.to(torch.uint8)


def _sum(cells: Any, down: list[Tensor], across: list[Tensor], share: Tensor) -> Tensor:  # noqa: ANN401 - a function of two taps
    """Sum bytes as OpenCV does: along a row, then along a column, each product and each sum rounded separately.

    Args:
        cells: (row tap, column tap) -> bytes (n, h, w, 3).
        down: the weights of the row taps, (n, h, 1, 1), float32 or int32 (then 2048 is 1).
        across: those of the column taps, (n, 1, w, 1).
        share: factor on a sum of float32, (n, 1, 1, 1).
    """
    fixed = not share.is_floating_point()
    total: Tensor | None = None
    for i, high in enumerate(down):
        line = cells(i, 0) * across[0]
        for j in range(1, len(across)):
            line = line + cells(i, j) * across[j]
        part = ((line >> 4) * high) >> 16 if fixed else line * high
        total = part if total is None else total + part
    assert total is not None
    total = (total + 2) >> 2 if fixed else torch.round(total * share)
    return total.clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True, eq=False)
class _Lines:
    """One piece of a batch, row by row and column by column of the image as it is stored."""

    number: int
    """Its index in the batch."""
    piece: Piece
    first: int
    """Its first byte."""
    old: tuple[int, int]
    """Height and width as stored."""
    row: Ints
    """Along the axis of the frame that its rows follow, the row of the scaled image."""
    column: Ints
    how: Scaling | None
    labels: tuple[Ints, Ints]
    """Stored row and column of each label, likewise."""

    @property
    def dtype(self) -> object:
        """Type of the weights, by which it is scaled; None: not scaled."""
        return None if self.how is None else self.how.rows.weight.dtype

    @property
    def taps(self) -> tuple[int, int]:
        """Number of taps of rows and of columns."""
        return (1, 1) if self.how is None else (len(self.how.rows.index), len(self.how.columns.index))

    def integers(self, taps: Sequence[int]) -> Ints:
        """Return first byte, area, height and width of the window, rows and columns of images and labels, in cells."""
        h, w = self.old
        numbers = np.array([self.first, h * w, self.piece.height, self.piece.width])
        if self.how is None:
            rows, columns = self.row[None], self.column[None]
        else:
            rows, columns = self.how.rows.index[:, self.row], self.how.columns.index[:, self.column]
        parts = (w * _filled(rows, taps[0]), _filled(columns, taps[1]), w * self.labels[0], self.labels[1])
        return np.concatenate([numbers, *(part.reshape(-1) for part in parts)])

    def weights(self, taps: Sequence[int]) -> NDArray[Any]:
        """Return the share and the weights of rows and columns."""
        assert self.how is not None
        kind = self.how.rows.weight.dtype
        pairs: tuple[tuple[Taps, Ints], ...] = ((self.how.rows, self.row), (self.how.columns, self.column))
        parts = (_filled(line.weight[:, at], count) for (line, at), count in zip(pairs, taps, strict=True))
        return np.concatenate([np.array([self.how.share], kind), *(part.reshape(-1) for part in parts)])


class _Table:
    """Numbers (n, m), read from the left as tensors that spread over (n, h, w)."""

    def __init__(self, values: Tensor, *, turned: bool) -> None:
        """Take the numbers; where ``turned`` an image's rows lie along the frame's columns."""
        self.values, self.turned, self.read = values, turned, 0

    def take(self, count: int) -> Tensor:
        """Return the next numbers, (n, 1, count)."""
        self.read += count
        return self.values[:, None, self.read - count : self.read]

    def lines(self, axis: int, count: int, length: int) -> list[Tensor]:
        """Return ``count`` lines for rows (axis 0) or columns (1), each (n, length, 1) or (n, 1, length)."""
        along = [self.take(length) for _ in range(count)]
        return along if (axis == 1) != self.turned else [line.permute(0, 2, 1) for line in along]


def _filled(lines: NDArray[Any], count: int) -> NDArray[Any]:
    """Pad lines (taps, n) with lines of zeros."""
    return np.pad(lines, ((0, count - len(lines)), (0, 0)))


def _line(start: int, length: int, frame: int, *, mirrored: bool) -> Ints:
    """Return ``length`` indices from ``start`` on, reversed where mirrored, and 0 in the rest of the frame."""
    places = np.arange(start, start + length)
    return np.pad(places[::-1] if mirrored else places, (0, frame - length))


@lru_cache(maxsize=8)
def agrees(scale: tuple[float, float], device: torch.device) -> bool:
    """Return whether images scaled on a device have OpenCV's bytes: its arithmetic differs between versions."""
    frame = Source("noise", "", 40, 48, crop=True)
    batches = Batches([_noise((37, 53), (64, 40), (96, 96))], frame, 6, 0, flip_vertical=True, rotate=True, scale=scale)
    held = Resident(batches, device)
    return all(all(torch.equal(one.cpu(), other) for one, other in _pairs(held, batches, step)) for step in range(4))


def _pairs(held: Resident, batches: Batches, step: int) -> Iterator[tuple[Tensor, Tensor]]:
    yield from zip(held.batch(step), batches.draw(step), strict=True)


def _noise(*sizes: tuple[int, int]) -> Store:
    """Return a store of noise, of images of these sizes (h, w)."""
    areas = [h * w for h, w in sizes]
    pixels = np.random.default_rng(0).integers(0, 256, 4 * sum(areas), dtype=np.uint8)
    return Store(
        name="noise", split="", kind="segmentation", classes=("noise",), palette=((0, 0, 0),),
        ids=tuple(str(i) for i in range(len(sizes))), sizes=np.array(sizes), fingerprint="", folder=Path(),
        labelled=True, targets=np.full(len(sizes), -1), mapped=pixels, starts=np.cumsum([0, *areas[:-1]]) * 4,
        sums=np.zeros(len(sizes), np.uint32), checked=np.ones(len(sizes), np.bool_),
    )  # fmt: skip


T = TypeVar("T")
DEPTH = 3
"""Most batches prepared ahead on a host: a batch of scaled images takes about 5 ms, a step 2 ms."""


class Ahead(Generic[T]):
    """A pure function of the step, computed ahead for the ``depth`` steps after the last requested one.

    Worth threads where the device does the work (a GPU); on a CPU that trains, they take the time they save. Results
    are handed out in the order in which they are asked for; at most ``depth`` of them wait, and one that nobody asked
    for is dropped with whatever it raised. ``take`` is called, in the thread of the caller, with each result that is
    handed out.
    """

    def __init__(
        self,
        function: Callable[[int], Any],
        take: Callable[[Any], T] = lambda made: made,
        *,
        depth: int = 1,
        threads: int = 1,
    ) -> None:
        """Keep the functions; nothing is computed before the first call.

        Args:
            function: step -> result; with more than one thread, called from several at a time.
            take: result -> what the caller gets.
            depth: steps computed ahead, 1 or more.
            threads: of them, how many at a time.
        """
        self._function, self._take, self._depth = function, take, depth
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="batches")
        self._waiting: deque[tuple[int, Future[Any]]] = deque()

    def __call__(self, step: int) -> T:
        """Return ``function(step)`` and start the next steps; raise its exception for this step."""
        if not self._waiting or self._waiting[0][0] != step:
            self._drop()
            self._begin(step)
        _, first = self._waiting.popleft()
        for ahead in range(step + 1 + len(self._waiting), step + 1 + self._depth):
            self._begin(ahead)
        return self._take(first.result())

    def _begin(self, step: int) -> None:
        self._waiting.append((step, self._pool.submit(self._function, step)))

    def _drop(self) -> None:
        """Cancel the steps that have not started."""
        for _, future in self._waiting:
            future.cancel()
        self._waiting.clear()

    def __enter__(self) -> Ahead[T]:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads and drop their results."""
        self._drop()
        self._pool.shutdown(wait=True, cancel_futures=True)


Batch = tuple[torch.Tensor, torch.Tensor]


class SideStream:
    """Makes batches on a side stream (``make``, in any thread) and passes them to the current one (``take``).

    The current stream waits for the batch's event, not the processor; each tensor is marked as used by it, so that its
    memory is not given to the side stream again before the training is done with it.
    """

    def __init__(self, function: Callable[[int], Batch], device: torch.device) -> None:
        """Keep the function; what the device was given before comes first."""
        self.function, self.device = function, device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.stream.wait_stream(torch.cuda.current_stream(device))

    def make(self, step: int) -> tuple[Batch, Any]:
        """Return the batch of a step and the event of its completion."""
        with torch.cuda.device(self.device), torch.cuda.stream(self.stream):
            batch = self.function(step)
            return batch, self.stream.record_event()

    def take(self, made: tuple[Batch, Any]) -> Batch:
        """Return a batch that the current stream may use."""
        batch, event = made
        current = torch.cuda.current_stream(self.device)
        current.wait_event(event)
        for part in batch:
            part.record_stream(current)
        return batch
