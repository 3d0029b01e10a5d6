"""Audit of the text's own sums: images of the data sets, sides of maps, what a kernel covers."""

from __future__ import annotations

from collections.abc import Iterator

from repro import paper
from repro.audit.finding import Counter, decided
from repro.findings import Finding
from repro.paper import said
from repro.spec import Stack

STRIDE = 32
"""Of res-5 against the image (Figure 2 A)."""


def find(_: Counter) -> Iterator[Finding]:
    """Yield every finding about images, sizes and kernels."""
    yield from _images()
    yield from _maps()
    yield _crops()
    yield from _global()
    yield from _kernels()


def _n(name: str) -> int:
    return int(said(name).value)


def _sum(name: str, total: str, *parts: str) -> Finding:
    found = sum(_n(part) for part in parts)
    return Finding(
        name,
        said(total).places,
        f"{said(total).gist}: {said(total).printed.text}",
        f"{' + '.join(said(part).printed.text for part in parts)} = {found:,}",
        decided(found == _n(total)),
    )


def _images() -> Iterator[Finding]:
    yield _sum("cityscapes-images", "cityscapes_images", "cityscapes_fine", "cityscapes_coarse")
    yield _sum("cityscapes-fine", "cityscapes_fine", "cityscapes_train", "cityscapes_val", "cityscapes_test_images")
    yield _sum("cityscapes-stage-1", "cityscapes_stage1", "cityscapes_train", "cityscapes_coarse")
    coco = _n("stage1_images") - _n("voc_aug_train")
    yield Finding(
        "coco-images",
        said("stage1_images").places,
        f"{said('stage1_images').printed.text} images of COCO, SBD and VOC",
        f"{coco:,} of them must be COCO's, if SBD and VOC are the {said('voc_aug_train').printed.text}",
        "open",
        "the paper prints no count of COCO images; it is to be counted on the data",
    )
    channels = int(str(paper.section("figure2")["deconvs"][0]).split(" x ")[-1])
    classes = _n("voc_objects") + _n("voc_background")
    yield Finding(
        "voc-classes",
        ("4", "figure 2"),
        f"{_n('voc_objects')} object classes and {_n('voc_background')} background class",
        f"{classes} classes; the score maps of figure 2 have {channels} channels",
        decided(classes == channels),
    )


def _maps() -> Iterator[Finding]:
    pairs = {"voc": ("input_size", "feature_map"), "cityscapes": ("cityscapes_crop", "cityscapes_map")}
    for name, (image, cells) in pairs.items():
        found = _n(image) / STRIDE
        yield Finding(
            f"feature-map-{name}",
            said(cells).places,
            f"{_n(image)} pixels give {_n(cells)} cells",
            f"{_n(image)} / {STRIDE} = {found:g}",
            decided(found == _n(cells)),
        )


def _crops() -> Finding:
    tiles, side = _n("cityscapes_tiles"), _n("cityscapes_tile")
    height, width = _n("cityscapes_height"), _n("cityscapes_width")
    cover = tiles * side**2 / (height * width)
    starts = ", ".join(f"{i * (width - side) / (tiles - 1):.0f}" for i in range(tiles))
    return Finding(
        "cityscapes-crops",
        ("4.3",),
        f"the images are split into {tiles} crops of {side} x {side}",
        f"these cover an image of {height} x {width} {cover:g} times; a split needs {height * width // side**2}",
        decided(cover == 1),
        f"so they overlap; evenly spaced they start at x = {starts}",
    )


def seen(k: int, side: int) -> float:
    """Return the mean share of a ``side x side`` map that one cell's ``k x k`` window covers."""
    reach = k // 2
    one_axis = sum(min(i + reach, side - 1) - max(i - reach, 0) + 1 for i in range(side)) / side**2
    return one_axis**2


def _global() -> Iterator[Finding]:
    k, side = _n("k_largest"), _n("feature_map")
    yield Finding(
        "really-global",
        ("4.1.1",),
        f"k = {k} roughly equals the map ({side} x {side}) and makes it really global",
        f"a cell sees {100 * seen(k, side):.0f} % of the map on average; all of it only from k = {2 * side - 1} on",
        "open",
        "a kernel as large as the map covers all of it from the centre alone",
    )
    wide = _n("stage1_size") // STRIDE
    yield Finding(
        "global-in-stage-1",
        ("4.2", "4.3"),
        f"k follows the map: {k} for {side} cells, {_n('cityscapes_k')} for {_n('cityscapes_map')}",
        f"Stage-1 on {_n('stage1_size')} pixels has {wide} cells; the k of section 4.2 is not printed",
        "open",
        f"stages share weights, so one k serves {wide} and {side} cells",
    )
    tested = _n("cityscapes_tile") // STRIDE
    yield Finding(
        "global-in-test-crops",
        ("4.3",),
        f"k = {_n('cityscapes_k')}, as the final map is {_n('cityscapes_map')} x {_n('cityscapes_map')}",
        f"the crops of {_n('cityscapes_tile')} that are tested on have {tested} x {tested}",
        "open",
        "the reason given for k holds in training only",
    )


def _kernels() -> Iterator[Finding]:
    sizes = [int(column) for (_, column) in paper.cells(1) if column.isdigit()]
    expected = list(range(_n("k_smallest"), _n("k_largest") + 1, 2))
    yield Finding(
        "kernels-tried",
        ("4.1.1", "table 1"),
        f"odd sizes from {_n('k_smallest')} to {_n('k_largest')}",
        f"table 1 prints {', '.join(map(str, sizes))}",
        decided(sizes == expected),
    )
    layers = (Stack(5).k - 1) // 2
    yield Finding(
        "stack-of-five",
        ("4.1.1 (2)",),
        f"{_n('stack_of_five')} convolutions 3 x 3 reach 5 x 5",
        f"{layers} of them reach {2 * layers + 1} x {2 * layers + 1}",
        decided(layers == _n("stack_of_five")),
    )
