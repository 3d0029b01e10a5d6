"""Evaluate all images of a test set: per-image counts of a predictor or a classifier, in one or several processes."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from repro.config.errors import EvaluationError, MetricError
from repro.config.machine import cores
from repro.evaluation import regions
from repro.evaluation.confusion import class_counts
from repro.evaluation.predictor import Autocast, Bytes, Normalise, Predictor, to_device
from repro.results import metrics

PIXELS_AT_ONCE = 2**18
"""Pixels of one forward pass (at least one image) on a CPU, or where label maps are refined on the host."""
DEVICE_SHARE = 1 / 16
"""Share of a GPU's total memory for one forward pass; a fixed batch on a device gives the same bits."""
BYTES_A_PIXEL = 4096
"""Assumed memory of a forward pass per pixel: several times that of ResNet-152 at half to full size."""
WORKERS = 8
"""Most threads that compute regions during the forward pass."""
Codes = NDArray[np.uint16]
Counts = dict[str, NDArray[np.int64]]
Item = tuple[int, Bytes, Bytes]
Begun = TypeVar("Begun")


def chunks(items: Iterable[Item], pixels: int = PIXELS_AT_ONCE) -> Iterator[list[Item]]:
    """Group consecutive images of one size into forward passes of at most ``pixels`` pixels."""
    for shape, group in itertools.groupby(items, key=lambda item: item[1].shape):
        most = max(1, pixels // (shape[0] * shape[1]))
        while part := list(itertools.islice(group, most)):
            yield part


def evaluate_images(
    predictor: Predictor,
    items: Iterable[Item],
    num_classes: int,
    progress: Callable[[int], None] = lambda _: None,
    background: int | None = 0,
    codes: Sequence[Codes] | None = None,
    threads: int = 0,
) -> Counts:
    """Count every image: ``classes`` (n, c, 3), ``distance`` (n, 42, 2), ``size`` (n, 21, 2), see ``records.Record``.

    On a GPU, images of one size are predicted in batches and counted on the device, with one transfer at the end; label
    maps that are refined on the host are counted on the host.

    Args:
        predictor: network and protocol.
        items: (index, image (h, w, 3), labels (h, w) with 255 void), each image once.
        num_classes: c.
        progress: called with the number of images done.
        background: the class that is no object; None: every class is one.
        codes: ``regions.region_codes`` of the image of each index; None: computed in threads during the forward pass.
        threads: number of these threads; 0: one per core, at most eight.
    """
    was_training = predictor.net.training
    predictor.net.eval()
    workers = ThreadPoolExecutor(min(WORKERS, threads or cores()))
    how = predictor.evaluation

    def begin(i: int, labels: Bytes) -> Callable[[], Codes]:
        if codes is not None:
            return lambda: codes[i]
        return workers.submit(regions.region_codes, labels, how.rim, how.distance, background).result

    on_device = predictor.device.type == "cuda" and predictor.refine is None
    try:
        return (counted_on_device if on_device else counted_on_host)(predictor, items, num_classes, begin, progress)
    finally:
        workers.shutdown(cancel_futures=True)
        predictor.net.train(was_training)


def counted_on_host(
    predictor: Predictor,
    items: Iterable[Item],
    num_classes: int,
    begin: Callable[[int, Bytes], Callable[[], Codes]],
    progress: Callable[[int], None],
) -> Counts:
    """Count the label maps of all images one by one; ``begin`` starts the computation of an image's region codes."""
    classes, distance, size = [], [], []
    for labels, pred, code in predicted(predictor, items, begin):
        classes.append(class_counts(labels, pred, num_classes))
        near, large = regions.region_counts(labels, pred, code())
        distance.append(near)
        size.append(large)
        progress(len(classes))
    return {
        "classes": np.array(classes, np.int64).reshape(-1, num_classes, 3),
        "distance": np.array(distance, np.int64).reshape(-1, regions.REST + 1, 2),
        "size": np.array(size, np.int64).reshape(-1, regions.SIZES, 2),
    }


def counted_on_device(
    predictor: Predictor,
    items: Iterable[Item],
    num_classes: int,
    begin: Callable[[int, Bytes], Callable[[], Codes]],
    progress: Callable[[int], None],
) -> Counts:
    """Count the label maps of all images on the device; ``progress`` is called before the device has finished.

    Raises:
        MetricError: see ``confusion.confusion``; for the class of a prediction, after the last image.
    """
    tally, done = Tally(num_classes, predictor.device), 0
    for chunk in chunks(items, pixels_at_once(predictor)):
        for _, image, labels in chunk:
            if labels.shape != image.shape[:2]:
                raise MetricError(f"labels {labels.shape} and prediction {image.shape[:2]} differ in shape")
            metrics.check_labels(labels, num_classes)
        begun = [begin(i, labels) for i, _, labels in chunk]
        found = predictor.label_maps([image for _, image, _ in chunk])
        tally.add(np.stack([labels for *_, labels in chunk]), found, np.stack([code() for code in begun]))
        done += len(chunk)
        progress(done)
    return tally.counts()


def pixels_at_once(predictor: Predictor) -> int:
    """Return the pixels of one forward pass, on a GPU by ``DEVICE_SHARE`` of its memory."""
    if predictor.device.type != "cuda":
        return PIXELS_AT_ONCE
    whole = torch.cuda.get_device_properties(predictor.device).total_memory
    enlarged = max(1.0, *predictor.evaluation.scales) ** 2
    return max(PIXELS_AT_ONCE, int(DEVICE_SHARE * whole / (BYTES_A_PIXEL * enlarged)))


class Tally:
    """Counts of images, accumulated on the device of the predictions."""

    def __init__(self, num_classes: int, device: torch.device) -> None:
        """Start without images."""
        self.num_classes, self.device = num_classes, device
        self._widths = 3 * num_classes, 2 * (regions.REST + 1), 2 * regions.SIZES
        self._rows: list[torch.Tensor] = []
        self._largest = torch.zeros(1, dtype=torch.int64, device=device)

    @torch.inference_mode()
    def add(self, labels: Bytes, pred: torch.Tensor, codes: Codes) -> None:
        """Count images of one size, without waiting for the device.

        Args:
            labels: (n, h, w), classes and 255 void.
            pred: (n, h, w) uint8, on the device.
            codes: (n, h, w), see ``regions.region_codes``.
        """
        n, c = len(labels), self.num_classes
        given = to_device(labels, self.device)
        where = to_device(codes.view(np.int16), self.device)
        self._largest = torch.maximum(self._largest, pred.max().long())
        pairs = torch.where(given == regions.VOID, c, given.int()) * c + pred
        table = per_image(pairs, (c + 1) * c).view(n, c + 1, c)[:, :c]
        classes = torch.stack([table.diagonal(dim1=1, dim2=2), table.sum(1), table.sum(2)], 2)
        shape = regions.REST + 2, regions.SIZES + 1, 2
        hits = per_image(where.int() | (pred == given), math.prod(shape)).view(n, *shape)
        hits = torch.stack([hits[..., 1], hits.sum(3)], 3)  # right, seen
        distance, size = hits.sum(2)[:, : regions.REST + 1], hits.sum(1)[:, : regions.SIZES]
        self._rows.append(torch.cat([part.reshape(n, -1) for part in (classes, distance, size)], 1))

    def counts(self) -> Counts:
        """Return the counts of ``evaluate_images`` by one transfer; raise ``MetricError`` for an invalid class."""
        rows = torch.cat([*self._rows, self._largest.expand(1, sum(self._widths))]).cpu().numpy()
        metrics.check_classes(int(rows[-1, 0]), self.num_classes)
        parts = np.split(rows[:-1], np.cumsum(self._widths)[:-1], axis=1)
        shapes = {"classes": (self.num_classes, 3), "distance": (regions.REST + 1, 2), "size": (regions.SIZES, 2)}
        return {name: part.reshape(-1, *shapes[name]) for name, part in zip(shapes, parts, strict=True)}


def per_image(codes: torch.Tensor, count: int) -> torch.Tensor:
    """Return the histogram of the numbers 0..count - 1 in each image, (n, h, w) int32 to (n, count) int64.

    Sorting is deterministic and, unlike ``bincount``, does not synchronise with a GPU.
    """
    n = len(codes)
    offsets = torch.arange(n, dtype=torch.int32, device=codes.device) * count
    ordered = (codes + offsets[:, None, None]).flatten().sort().values
    edges = torch.arange(n * count + 1, dtype=torch.int32, device=codes.device)
    return torch.searchsorted(ordered, edges).diff().view(n, count)


def predicted(
    predictor: Predictor, items: Iterable[Item], begin: Callable[[int, Bytes], Begun]
) -> Iterator[tuple[Bytes, Bytes, Begun]]:
    """Yield labels, prediction and the result of ``begin(index, labels)`` for every image in order.

    ``begin`` is called before the forward pass of its image; with a refinement, several images are pending.
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
    """Return the class that is no object: the first if its name is background, else None."""
    return 0 if classes and classes[0] == "background" else None


def interleave(parts: Sequence[Counts]) -> Counts:
    """Join the counts of all processes, where rank r counted the images r, r + world, ..., in image order.

    Raises:
        EvaluationError: the sizes of the parts do not fit, so an image was counted twice or not at all.
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
    """Broadcast weights and running statistics of rank 0, so that all processes evaluate the same network."""
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
    """Count correct predictions per image: ``top5`` (n, 2), top-1 and top-5 (Table 6)."""
    was_training = net.training
    net.eval()
    rows: list[torch.Tensor] = []
    done = 0
    try:
        for group in _batches(items, 64):
            images = to_device(np.stack([image for _, image, _ in group]), device).permute(0, 3, 1, 2)
            truth = to_device(np.array([[y] for *_, y in group]), device)
            with autocast():
                logits = net(normalise(images).contiguous(memory_format=layout)).float()
            right = logits.topk(min(5, logits.shape[1]), dim=1).indices == truth
            rows.append(torch.stack([right[:, 0], right.any(1)], 1))
            done += len(group)
            progress(done)
    finally:
        net.train(was_training)
    return {"top5": torch.cat(rows).cpu().numpy().astype(np.int64) if rows else np.zeros((0, 2), np.int64)}


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
