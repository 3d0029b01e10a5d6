"""How a network is trained, and the protocol by which it is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from repro.spec.networks import Classifier, Model


@dataclass(frozen=True)
class Training:
    """What is trained, on what, from where.

    ``data`` is a role ("voc_aug"); the profile says which data set plays it. ``init`` is the
    training whose weights this one starts from; without one, the profile's own start.
    """

    model: Model | Classifier
    data: str = "voc_aug"
    init: Training | None = None


@dataclass(frozen=True)
class CRF:
    """Dense CRF parameters [Krahenbuhl 2011]: kernel weights ``w`` and deviations ``sd``."""

    iterations: int = 10
    position_w: float = 3.0
    position_sd: float = 3.0
    bilateral_w: float = 10.0
    bilateral_sd: float = 80.0
    bilateral_color_sd: float = 13.0


@dataclass(frozen=True)
class Evaluation:
    """How weights become counts. ``data`` is a role; empty: the one that goes with the training."""

    data: str = ""
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    crops: int = 0
    """Square crops, evenly spaced and overlapping, whose softmax is averaged; 0: whole image."""
    crf: CRF | None = None
    rim: Literal["edge", "filled"] = "edge"
    """Boundary region: the void rim is itself an edge, or is filled with the nearest label."""
    distance: Literal["euclidean", "chessboard"] = "euclidean"


MULTI_SCALE = (0.5, 0.75, 1.0, 1.25, 1.5)
