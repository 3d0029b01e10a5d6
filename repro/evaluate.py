"""Weights to counts: single scale, multi-scale and flip, overlapping crops, dense CRF."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from repro import metrics, regions
from repro.experiment import Source
from repro.machine import cores
from repro.spec import Evaluation

PIXELS_AT_ONCE = 2**18
WORKERS = 8
"""Most threads that find regions while the network is busy."""
STRIDE = 32
Bytes = NDArray[np.uint8]
Counts = dict[str, NDArray[np.int64]]
Item = tuple[int, Bytes, Bytes]
Begun = TypeVar("Begun")
Normalise = Callable[[Tensor], Tensor]
Autocast = Callable[[], AbstractContextManager[Any]]


class EvaluationError(ValueError):
    """Counts that cannot be those of one evaluation, in one sentence."""


class Refine(Protocol):
    """Turns class probabilities (c, h, w) and images (h, w, 3) into labels (h, w), in order, as they come."""

    def __call__(self, pairs: Iterable[tuple[NDArray[np.float32], Bytes]]) -> Iterator[Bytes]:
        """Yield the label maps; several pairs may be asked for before the first is yielded."""


@dataclass(frozen=True)
class Predictor:
    """A network with a protocol: images in, label maps out.

    ``normalise`` maps uint8 images (n, 3, h, w) to the network's float32 input; padding to
    ``frame`` comes after it and is zero, so padded pixels are the mean colour.
    """

    net: nn.Module
    normalise: Normalise
    frame: tuple[int, int] = (0, 0)
    evaluation: Evaluation = field(default_factory=Evaluation)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    autocast: Autocast = nullcontext
    refine: Refine | None = None
    layout: torch.memory_format = torch.channels_last

    def labels(self, images: list[Bytes]) -> list[Bytes]:
        """Predict images (h, w, 3) of one size; return label maps (h, w)."""
        if self.refine is not None:
            return list(self.refine(zip(self.softmax(images), images, strict=True)))
        return self._best(images)

    @torch.inference_mode()
    def softmax(self, images: list[Bytes]) -> NDArray[np.float32]:
        """Return the probabilities (n, c, h, w) of images (h, w, 3) of one size."""
        found: NDArray[np.float32] = self.probabilities(self._input(images)).float().cpu().numpy()
        return found

    @torch.inference_mode()
    def _best(self, images: list[Bytes]) -> list[Bytes]:
        x = self._input(images)
        scores = self._logits(x) if self._plain() else self.probabilities(x)
        return list(scores.max(1).indices.to(torch.uint8).cpu().numpy())  # on a CPU faster than argmax, and the same

    def _input(self, images: list[Bytes]) -> Tensor:
        batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(self.device)
        return self.normalise(batch).contiguous(memory_format=self.layout)

    def _plain(self) -> bool:
        e = self.evaluation
        return e.scales == (1.0,) and not e.flip and not e.crops

    @torch.inference_mode()
    def probabilities(self, x: Tensor) -> Tensor:
        """Average the softmax over crops, scales and mirrors: (n, 3, h, w) to (n, c, h, w).

        Every scale and mirror of a crop has the same weight, its softmax brought to the crop's size (bilinear)
        before the mean; then every crop that holds a pixel has the same weight there.
        """
        if not self.evaluation.crops:
            return self._scales(x)
        total = count = None
        for top, left, side in crop_boxes(x.shape[2], x.shape[3], self.evaluation.crops):
            part = self._scales(x[:, :, top : top + side, left : left + side])
            if total is None or count is None:
                total = part.new_zeros(x.shape[0], part.shape[1], x.shape[2], x.shape[3])
                count = part.new_zeros(x.shape[2], x.shape[3])
            total[:, :, top : top + side, left : left + side] += part
            count[top : top + side, left : left + side] += 1
        assert total is not None
        assert count is not None
        return total / count

    def _scales(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        mean: Tensor | None = None
        views = list(itertools.product(self.evaluation.scales, (False, True) if self.evaluation.flip else (False,)))
        for scale, mirrored in views:
            size = (max(1, round(h * scale)), max(1, round(w * scale)))
            y = x if scale == 1.0 else nn.functional.interpolate(x, size, mode="bilinear", align_corners=False)
            out = self._logits(y.flip(3) if mirrored else y, scale).softmax(1)
            out = out.flip(3) if mirrored else out
            if scale != 1.0:
                out = nn.functional.interpolate(out, (h, w), mode="bilinear", align_corners=False)
            mean = out if mean is None else mean + out
        assert mean is not None
        return mean / len(views)

    def _logits(self, x: Tensor, scale: float = 1.0) -> Tensor:
        """Run the network on the framed input and cut the frame off again; float32 out."""
        h, w = x.shape[2:]
        bottom, right = (
            max(_up(round(side * scale)), have) - have for side, have in zip(self.frame, (h, w), strict=True)
        )
        padded = nn.functional.pad(x, (0, right, 0, bottom)) if bottom or right else x
        with self.autocast():
            out: Tensor = self.net(padded.contiguous(memory_format=self.layout))
        return out[:, :, :h, :w].float()


def _up(side: int) -> int:
    return -(-side // STRIDE) * STRIDE


def crop_boxes(height: int, width: int, count: int) -> list[tuple[int, int, int]]:
    """Return ``count`` squares (top, left, side), evenly spaced along the longer side, that cover the image.

    Section 4.3: four crops of a 1024 x 2048 image start at x = 0, 341, 683, 1024.

    Raises:
        ValueError: so few squares cannot cover the image.
    """
    side = min(height, width)
    room = max(height, width) - side
    if count < 1 or count * side < max(height, width):
        msg = f"{count} square crops of {side} cannot cover an image of {height} x {width}; ask for more crops"
        raise ValueError(msg)
    starts = [round(i * room / max(1, count - 1)) for i in range(count)]
    return [(start, 0, side) if height > width else (0, start, side) for start in starts]


def chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Group consecutive images of one size, as many as one forward pass takes."""
    for shape, group in itertools.groupby(items, key=lambda item: item[1].shape):
        most = max(1, PIXELS_AT_ONCE // (shape[0] * shape[1]))
        while part := list(itertools.islice(group, most)):
            yield part


def evaluate_images(
    predictor: Predictor,
    items: Iterable[Item],
    num_classes: int,
    progress: Callable[[int], None] = lambda _: None,
    background: int | None = 0,
    places: Sequence[NDArray[np.uint16]] | None = None,
) -> Counts:
    """Count every image: ``classes`` (n, c, 3), ``distance`` (n, 42, 2), ``size`` (n, 21, 2), see ``records.Record``.

    Args:
        predictor: network and protocol.
        items: (index, image (h, w, 3), labels (h, w) with 255 void), each image once.
        num_classes: c.
        progress: called with the number of images done.
        background: the class that is no object, None where every class is one.
        places: ``regions.places`` of the image of each index; None: found in threads while the network is busy.
    """
    was_training = predictor.net.training
    predictor.net.eval()
    classes, distance, size = [], [], []
    workers = ThreadPoolExecutor(min(WORKERS, cores()))
    evaluation = predictor.evaluation

    def begin(i: int, labels: Bytes) -> Callable[[], NDArray[np.uint16]]:
        if places is not None:
            return lambda: places[i]
        return workers.submit(regions.places, labels, evaluation.rim, evaluation.distance, background).result

    try:
        for labels, pred, place in predicted(predictor, items, begin):
            classes.append(metrics.class_counts(labels, pred, num_classes))
            near, large = regions.place_counts(labels, pred, place())
            distance.append(near)
            size.append(large)
            progress(len(classes))
    finally:
        workers.shutdown(cancel_futures=True)
        predictor.net.train(was_training)
    return {
        "classes": np.array(classes, np.int64).reshape(-1, num_classes, 3),
        "distance": np.array(distance, np.int64).reshape(-1, regions.REST + 1, 2),
        "size": np.array(size, np.int64).reshape(-1, regions.SIZES, 2),
    }


def predicted(
    predictor: Predictor, items: Iterable[Item], begin: Callable[[int, Bytes], Begun]
) -> Iterator[tuple[Bytes, Bytes, Begun]]:
    """Yield labels, prediction and what ``begin`` made of the index and the labels, of every image in order.

    It is called before the network sees the image; a refinement has the images that follow under way.
    """
    waiting: deque[tuple[Bytes, Begun]] = deque()

    def groups() -> Iterator[list[Bytes]]:
        for chunk in chunks(items):
            waiting.extend((labels, begin(i, labels)) for i, _, labels in chunk)
            yield [image for _, image, _ in chunk]

    found: Iterator[Bytes]
    if predictor.refine is None:
        found = itertools.chain.from_iterable(map(predictor.labels, groups()))
    else:
        found = predictor.refine(
            pair for images in groups() for pair in zip(predictor.softmax(images), images, strict=True)
        )
    for pred in found:
        labels, begun = waiting.popleft()
        yield labels, pred, begun


def background_of(classes: Sequence[str]) -> int | None:
    """Return the class that is no object: the first where it is called background, else None."""
    return 0 if classes and classes[0] == "background" else None


def interleave(parts: Sequence[Counts]) -> Counts:
    """Join the counts of processes of which number r had the images r, r + world, ...: all images in their order.

    Raises:
        ValueError: the shares are not those of one set, so an image was counted twice or not at all.
    """
    world = len(parts)
    joined = {}
    for name in parts[0]:
        sizes = [len(part[name]) for part in parts]
        total = sum(sizes)
        if sizes != [len(range(rank, total, world)) for rank in range(world)]:
            msg = f"counts of {sizes} images are no even shares of one set; evaluate again"
            raise EvaluationError(msg)
        joined[name] = np.empty((total, *parts[0][name].shape[1:]), np.int64)
        for rank, part in enumerate(parts):
            joined[name][rank::world] = part[name]
    return joined


def share_weights(net: nn.Module) -> None:
    """Give every process the leading one's weights and running statistics, so that one network is evaluated."""
    for value in net.state_dict().values():
        torch.distributed.broadcast(value, src=0)


@torch.inference_mode()
def evaluate_classifier(
    net: nn.Module,
    normalise: Normalise,
    items: Iterable[tuple[int, Bytes, int]],
    device: torch.device,
    autocast: Autocast = nullcontext,
    progress: Callable[[int], None] = lambda _: None,
    layout: torch.memory_format = torch.channels_last,
) -> Counts:
    """Count right answers per image: ``top5`` (n, 2), right in one and right in five (Table 6)."""
    was_training = net.training
    net.eval()
    rows: list[tuple[int, int]] = []
    try:
        for group in _batches(items, 64):
            images = torch.from_numpy(np.stack([image for _, image, _ in group])).permute(0, 3, 1, 2).to(device)
            with autocast():
                logits = net(normalise(images).contiguous(memory_format=layout)).float()
            best = logits.topk(min(5, logits.shape[1]), dim=1).indices.cpu().numpy()
            rows += [(int(b[0] == y), int(y in b)) for b, (_, _, y) in zip(best, group, strict=True)]
            progress(len(rows))
    finally:
        net.train(was_training)
    return {"top5": np.array(rows, dtype=np.int64).reshape(-1, 2)}


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def frame_of(source: Source) -> tuple[int, int]:
    """Return the frame that a test source pads to."""
    return source.height, source.width
