"""Dense CRF refinement of softmax maps [Krahenbuhl 2011] by pydensecrf, in worker processes (section 4.2)."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.config.errors import CRFError, lacking
from repro.config.experiment import CRF
from repro.config.machine import keep_memory

Labels = NDArray[np.uint8]
Pair = tuple[NDArray[np.floating[Any]], NDArray[np.uint8]]
"""Probabilities (c, h, w) and image (h, w, 3)."""
SUPPORT = 0.2
"""Labels below this probability everywhere, and nowhere the most probable, are left out.
On eight images this changed at most 0.006 % of an image's pixels."""
POLL_SECONDS = 2.0
_TINY = 1e-10
_MOST = 255


def refine(probabilities: NDArray[np.floating[Any]], image: NDArray[np.uint8], crf: CRF) -> Labels:
    """Return the label map after mean-field inference, (h, w).

    Args:
        probabilities: (c, h, w) softmax.
        image: (h, w, 3) uint8, RGB.
        crf: kernel weights and deviations, number of iterations.

    Raises:
        CRFError: pydensecrf is missing, an array or a parameter is invalid, or the shapes do not match.
    """
    _check(probabilities, image, crf)
    kept = supported(probabilities)
    return _infer(np.asarray(probabilities[kept], np.float32), kept, image, crf)


def refine_all(pairs: Iterable[Pair], crf: CRF, processes: int) -> Iterator[Labels]:
    """Yield the refined label map of every image, in order, computed by worker processes.

    At most two images per process are pending, so ``pairs`` may be lazy. One process: computed in this one.

    Args:
        pairs: probabilities (c, h, w) and image (h, w, 3) of each image.
        crf: see ``refine``.
        processes: number of single-threaded workers.

    Raises:
        CRFError: see ``refine``; also where ``processes`` is below 1 or a worker was killed.
    """
    return refine_each(((pair, crf) for pair in pairs), processes)


def refine_each(tasks: Iterable[tuple[Pair, CRF]], processes: int) -> Iterator[Labels]:
    """Yield the refined label map of every image with its own parameters; otherwise as ``refine_all``."""
    if processes < 1:
        msg = f"dense CRF: needs at least one process, got {processes}"
        raise CRFError(msg)
    if processes == 1:
        yield from (refine(*pair, crf) for pair, crf in tasks)
        return
    context = multiprocessing.get_context("spawn")  # a forked child of a process with threads can hang
    with ProcessPoolExecutor(processes, context, _end_with, (os.getpid(),)) as pool:
        yield from _ordered(pool, tasks, 2 * processes)


def _end_with(parent: int) -> None:
    """Exit this worker when its parent process is gone, even after a kill; otherwise it would wait forever."""
    keep_memory()  # pydensecrf allocates maps of the same size in every iteration

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        os._exit(1)

    if hasattr(os, "getppid") and os.name == "posix":
        threading.Thread(target=watch, daemon=True).start()


def _ordered(pool: ProcessPoolExecutor, tasks: Iterable[tuple[Pair, CRF]], ahead: int) -> Iterator[Labels]:
    """Yield results in order, with up to ``ahead`` images pending."""
    waiting: deque[Future[Labels]] = deque()
    source = iter(tasks)
    try:
        while True:
            for (probabilities, image), crf in itertools.islice(source, ahead - len(waiting)):
                _check(probabilities, image, crf)
                kept = supported(probabilities)
                few = np.asarray(probabilities[kept], np.float32)  # only these are sent to the worker
                waiting.append(pool.submit(_infer, few, kept, np.ascontiguousarray(image), crf))
            if not waiting:
                return
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        msg = "dense CRF: a worker process was ended from outside (out of memory?); use fewer processes"
        raise CRFError(msg) from error
    finally:
        for future in waiting:
            future.cancel()


def supported(probabilities: NDArray[np.floating[Any]], support: float = SUPPORT) -> NDArray[np.intp]:
    """Return the labels that are the most probable, or have probability ``support``, at some pixel.

    In a Potts model a label gains only from neighbours that have it, so a label of low probability everywhere is never
    the result, and changes the normalised probability of the others by its own at most.
    """
    flat = probabilities.reshape(len(probabilities), -1)
    unsure = flat[:, flat.max(axis=0) < support]  # a label below the support can be the most probable only at these
    best = np.bincount(unsure.argmax(axis=0), minlength=len(flat)) > 0
    return np.flatnonzero(best | (flat.max(axis=1) >= support))


def _infer(probabilities: NDArray[np.float32], kept: NDArray[np.intp], image: NDArray[np.uint8], crf: CRF) -> Labels:
    """Run mean-field inference over the kept labels; return the most probable at each pixel, (h, w)."""
    count, height, width = probabilities.shape
    if count == 1:
        return np.full((height, width), kept[0], np.uint8)
    densecrf = _library()
    field = densecrf.DenseCRF2D(width, height, count)
    energy = -np.log(np.maximum(probabilities, _TINY)).reshape(count, -1)
    field.setUnaryEnergy(np.ascontiguousarray(energy, np.float32))
    field.addPairwiseGaussian(sxy=crf.position_sd, compat=crf.position_w)
    colors = np.require(image, requirements=("C", "W"))  # pydensecrf rejects views of a memory-mapped store
    field.addPairwiseBilateral(sxy=crf.bilateral_sd, srgb=crf.bilateral_color_sd, rgbim=colors, compat=crf.bilateral_w)
    best = np.asarray(field.inference(crf.iterations)).argmax(axis=0)
    return np.asarray(kept[best], np.uint8).reshape(height, width)


def _library() -> Any:  # noqa: ANN401 - a compiled module without types
    """Import pydensecrf, which is optional and needed by evaluations with a CRF only."""
    try:
        from pydensecrf import densecrf
    except ImportError as error:
        raise CRFError(f"dense CRF: {lacking(error) or error}") from error
    return densecrf


def _check(probabilities: NDArray[np.floating[Any]], image: NDArray[np.uint8], crf: CRF) -> None:
    """Raise ``CRFError`` for invalid arrays or parameters."""
    _library()
    if probabilities.ndim != 3 or not 0 < len(probabilities) <= _MOST or not probabilities.size:  # noqa: PLR2004
        msg = f"dense CRF: needs probabilities (c, h, w) of at most {_MOST} classes, got {probabilities.shape}"
        raise CRFError(msg)
    if image.dtype != np.uint8 or image.shape != (*probabilities.shape[1:], 3):
        msg = f"dense CRF: needs a uint8 image of the map's size {probabilities.shape}, got {image.dtype} {image.shape}"
        raise CRFError(msg)
    lowest, highest = float(probabilities.min()), float(probabilities.max())
    if not (lowest >= 0 and highest <= 1 + 1e-3):
        msg = f"dense CRF: probabilities must lie in 0..1 (a softmax, not scores), got {lowest}..{highest}"
        raise CRFError(msg)
    if crf.iterations < 1 or min(crf.position_sd, crf.bilateral_sd, crf.bilateral_color_sd) <= 0:
        msg = f"dense CRF: needs one iteration or more and deviations above 0, got {crf}"
        raise CRFError(msg)
