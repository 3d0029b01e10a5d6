"""Label maps to counts: every image of a test set, by a predictor or a classifier, over one process or several."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from repro import metrics, regions
from repro.machine import cores
from repro.predictor import Autocast, Bytes, Normalise, Predictor

PIXELS_AT_ONCE = 2**18
WORKERS = 8
"""Most threads that find regions while the network is busy."""
Places = NDArray[np.uint16]
Counts = dict[str, NDArray[np.int64]]
Item = tuple[int, Bytes, Bytes]
Begun = TypeVar("Begun")


class EvaluationError(ValueError):
    """Counts that cannot be those of one evaluation, in one sentence."""


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
    places: Sequence[Places] | None = None,
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
    how = predictor.evaluation

    def begin(i: int, labels: Bytes) -> Callable[[], Places]:
        if places is not None:
            return lambda: places[i]
        return workers.submit(regions.places, labels, how.rim, how.distance, background).result

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
