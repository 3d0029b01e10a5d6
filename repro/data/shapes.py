"""Generated images whose objects differ in outline only; integer arithmetic, the same bytes on every machine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from repro.config import dataset_info
from repro.config.dataset_info import DatasetInfo
from repro.data.dataset import IGNORE_INDEX, Bytes, Dataset, Item, Kind
from repro.data.polygons import ONE, OUTLINES, TURN, Points, coarsen, fill, place

Grey = NDArray[np.int16]
Frame = tuple[int, int]

_INFO: Final = dataset_info.get("shapes")
_COUNTS: Final = {split: count for split, count in _INFO.images.items() if count is not None}
CLASSES: Final = _INFO.classes
IMAGE_CLASSES: Final = tuple(OUTLINES)  # of the classification split
CONTROL, CLASSIFICATION = "control_", "cls_"
SIZE: Final = 96

# Side of a noise cell in pixels, and contrast (cells are uniform in +-contrast). Mirrored or turned, they stay apart.
TEXTURES: Final = ((4, 28), (2, 14), (2, 32), (4, 12), (8, 16), (8, 36))
SIDES: Final = (
    (36, 104),
    (16, 40),
)  # of the first and of the second object: root of its area, in 1/128 of the image's side
SENSOR: Final = 6  # each pixel adds two uniform draws in +-SENSOR


@dataclass(frozen=True, slots=True)
class Split:
    """The images of the stream `seed`.

    `coarse` labels imitate coarse annotation; `wide` images hold two scenes side by side, as a street scene does.
    """

    seed: int
    coarse: bool = False
    wide: bool = False


SCENE_SPLITS: Final = {
    "train": Split(seed=1),
    "val": Split(seed=2),
    "test": Split(seed=3),
    "mix": Split(seed=4, coarse=True),
    "fine": Split(seed=1),  # the first images of "train", as VOC's own are among VOC + SBD
    "wide": Split(seed=5, wide=True),
    "wide_test": Split(seed=6, wide=True),
    "wide_mix": Split(seed=7, coarse=True, wide=True),
}
IMAGE_SPLITS: Final = {
    "train": Split(seed=11),
    "val": Split(seed=12),
    "test": Split(seed=13),
}


@dataclass(frozen=True, slots=True)
class _Shape:
    """One object of a scene: its class and its polygon, in 1/`ONE` pixel."""

    label: int
    points: Points


def _draw_shape(rng: np.random.Generator, outline: str, label: int, size: int, sides: tuple[int, int]) -> _Shape:
    """Place one outline at random; `sides` bounds the root of its area, in 1/128 of the image's side."""
    side = int(rng.integers(sides[0], sides[1] + 1)) * size * ONE // 128
    room = size * ONE - side
    x, y, turn = (int(value) for value in rng.integers(0, (room + 1, room + 1, TURN)))
    return _Shape(label, place(OUTLINES[outline], (x + side // 2, y + side // 2), side, turn))


def _draw_scene(rng: np.random.Generator, size: int) -> list[_Shape]:
    """One object of any size, and before it lies, half of the time, a smaller one."""
    labels = rng.integers(1, len(CLASSES), size=2)
    count = int(rng.integers(1, 3))
    return [_draw_shape(rng, CLASSES[labels[i]], int(labels[i]), size, SIDES[i]) for i in range(count)]


def _draw_wide_scene(rng: np.random.Generator, size: int) -> list[_Shape]:
    """Two scenes, in windows of `size` that start within a quarter of it from either end: their objects may overlap."""
    scenes = [_draw_scene(rng, size), _draw_scene(rng, size)]
    starts = rng.integers(0, size * ONE // 4 + 1, size=2) + np.array((0, size * ONE * 3 // 4))
    moved = [
        [_Shape(shape.label, shape.points + np.array((start, 0))) for shape in scene]
        for scene, start in zip(scenes, starts, strict=True)
    ]
    return [shape for layer in (slice(0, 1), slice(1, 2)) for scene in moved for shape in scene[layer]]


def _rasterise(shapes: list[_Shape], frame: Frame) -> Bytes:
    """Labels of a frame (h, w): later shapes cover earlier ones."""
    labels = np.zeros(frame, dtype=np.uint8)
    for shape in shapes:
        labels[fill(shape.points, *frame)] = shape.label
    return labels


def _annotate_coarsely(rng: np.random.Generator, shapes: list[_Shape], size: int) -> list[_Shape]:
    """Vertices on a grid of a sixteenth of the image; one object in ten void, one in ten of a wrong class."""
    hurried = []
    for shape in shapes:
        slip, other = (int(value) for value in rng.integers(0, (10, len(CLASSES) - 1)))
        label = {0: IGNORE_INDEX, 1: other + 1}.get(slip, shape.label)
        hurried.append(_Shape(label, coarsen(shape.points, size * ONE // 16)))
    return hurried


def _stretch(noise: Grey, cell: int, axis: int, start: int, size: int) -> Grey:
    """Linear interpolation of `noise` along `axis`, one node every `cell` pixels; `size` pixels from `start` on."""
    node, part = np.divmod(np.arange(start, start + size, dtype=np.int16), cell)
    part = part[:, None] if axis == 0 else part
    blend: Grey = noise.take(node, axis) * (cell - part) + noise.take(node + 1, axis) * part
    return blend // np.int16(cell)


def _texture(rng: np.random.Generator, kind: int, frame: Frame) -> Grey:
    """Grey noise of a frame (h, w) about zero, of the grain and contrast `TEXTURES[kind]`."""
    cell, contrast = TEXTURES[kind]
    noise = rng.integers(-contrast, contrast + 1, size=[side // cell + 3 for side in frame], dtype=np.int16)
    top, left = (int(value) for value in rng.integers(0, cell, size=2))
    return _stretch(_stretch(noise, cell, 0, top, frame[0]), cell, 1, left, frame[1])


def _paint(rng: np.random.Generator, regions: Bytes, kinds: list[int], *, textured: bool) -> Bytes:
    """Image (h, w, 3): region i gets the texture `kinds[i]` and a colour at least 40 from the ground's."""
    height, width = regions.shape
    ground = rng.integers(0, 128, size=3)
    shift = rng.integers(40, 89, size=(len(kinds), 3)) * (np.arange(len(kinds)) > 0)[:, None]
    colours = ((ground + shift) % 128 + 64).astype(np.int16)
    image = colours[regions]
    if textured:
        grey = np.stack([_texture(rng, kind, (height, width)) for kind in kinds])
        image += np.take_along_axis(grey, regions[None].astype(np.intp), axis=0)[0][..., None]
    sensor = rng.integers(-SENSOR, SENSOR + 1, size=(2, height, width, 3), dtype=np.int8)
    image += sensor[0]
    image += sensor[1]
    return np.clip(image, 0, 255).astype(np.uint8)


def _render(rng: np.random.Generator, shapes: list[_Shape], frame: Frame, *, control: bool, textured: bool) -> Bytes:
    """Paint a scene. Every image deals the textures to the classes afresh; in the control each class has its own."""
    regions = _rasterise([_Shape(i, shape.points) for i, shape in enumerate(shapes, 1)], frame)
    dealt = np.argsort(rng.integers(0, 2**32, size=len(TEXTURES)), kind="stable")
    labels = [0] + [shape.label for shape in shapes]
    kinds = [label if control else int(dealt[label]) for label in labels]
    return _paint(rng, regions, kinds, textured=textured)


def make_image(
    seed: int, index: int, *, size: int = SIZE, textured: bool = True, control: bool = False, coarse: bool = False,
    wide: bool = False,
) -> tuple[Bytes, Bytes]:  # fmt: skip
    """Image (size, size, 3) and labels (size, size) number `index` of the stream `seed`; twice as wide if `wide`.

    `control` lets an object's texture tell its class and changes nothing else; `coarse` spoils the labels only;
    without `textured` the regions are flat but for the sensor's noise.
    """
    frame = (size, size * (1 + wide))
    scene_rng, paint_rng, label_rng = (np.random.Generator(np.random.PCG64([seed, index, part])) for part in range(3))
    shapes = _draw_wide_scene(scene_rng, size) if wide else _draw_scene(scene_rng, size)
    image = _render(paint_rng, shapes, frame, control=control, textured=textured)
    annotated = _annotate_coarsely(label_rng, shapes, size) if coarse else shapes
    return image, _rasterise(annotated, frame)


def make_split(split: str, *, size: int = SIZE, control: bool = False, count: int | None = None) -> tuple[Bytes, Bytes]:
    """Images (n, h, w, 3) and labels (n, h, w) of a name of `SCENE_SPLITS`, h = size; `count` takes fewer or more."""
    chosen = SCENE_SPLITS[split]
    total = _COUNTS[split] if count is None else count
    labels = np.empty((total, size, size * (1 + chosen.wide)), dtype=np.uint8)
    images = np.empty((*labels.shape, 3), dtype=np.uint8)
    for i in range(total):
        images[i], labels[i] = make_image(
            chosen.seed, i, size=size, control=control, coarse=chosen.coarse, wide=chosen.wide
        )
    return images, labels


def make_image_split(split: str, *, size: int = SIZE, count: int | None = None) -> tuple[Bytes, NDArray[np.int64]]:
    """Images (n, size, size, 3) of one object each and its class (n,) in `IMAGE_CLASSES`; a name of `IMAGE_SPLITS`."""
    total = _COUNTS[CLASSIFICATION + split] if count is None else count
    images = np.empty((total, size, size, 3), dtype=np.uint8)
    labels = np.empty(total, dtype=np.int64)
    for i in range(total):
        rng = np.random.Generator(np.random.PCG64([IMAGE_SPLITS[split].seed, i]))
        labels[i] = rng.integers(len(IMAGE_CLASSES))
        shape = _draw_shape(rng, IMAGE_CLASSES[labels[i]], 1, size, (40, 88))
        images[i] = _render(rng, [shape], (size, size), control=False, textured=True)
    return images, labels


def load(info: DatasetInfo, split: str, _root: Path | None) -> Dataset:
    """Return a split: of scenes, ``control_*`` where texture tells the class, ``cls_*`` with one class an image.

    Its images are made when the first one is read.
    """
    make, kind = _maker(split)
    made = _Once(make)

    def read(i: int) -> Item:
        images, labels = made()
        return images[i], labels[i] if kind == "segmentation" else int(labels[i])

    classes, palette = (info.classes, info.palette) if kind == "segmentation" else (IMAGE_CLASSES, ())
    ids = tuple(f"{i:05d}" for i in range(_COUNTS[split]))
    return Dataset(info.name, split, classes, palette, ids, read, kind=kind, version=info.version)


def _maker(split: str) -> tuple[Callable[[], tuple[Bytes, Any]], Kind]:
    if split.startswith(CLASSIFICATION):
        return partial(make_image_split, split.removeprefix(CLASSIFICATION)), "classification"
    name = split.removeprefix(CONTROL)
    return partial(make_split, name, control=split.startswith(CONTROL)), "segmentation"


class _Once:
    """A value made on the first call, by one thread alone."""

    def __init__(self, make: Callable[[], tuple[Bytes, Any]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._value: tuple[Bytes, Any] | None = None

    def __call__(self) -> tuple[Bytes, Any]:
        with self._lock:
            if self._value is None:
                self._value = self._make()
            return self._value
