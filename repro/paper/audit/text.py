"""Audit of the text: sums, image counts, sides of maps; names, references, and the slides against the paper."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from repro.config.networks import Stack
from repro.paper import printed as paper
from repro.paper.audit.finding import CostCounter, Finding, decided
from repro.paper.printed import text_number

STRIDE = 32
"""Of res-5 against the image (Figure 2 A)."""


def find_sizes(_: CostCounter) -> Iterator[Finding]:
    """Yield every finding about images, sizes and kernels."""
    yield from _images()
    yield from _maps()
    yield _crops()
    yield from _global()
    yield from _kernels()


def _n(name: str) -> int:
    return int(text_number(name).value)


def _sum(name: str, total: str, *parts: str) -> Finding:
    found = sum(_n(part) for part in parts)
    return Finding(
        name,
        text_number(total).places,
        f"{text_number(total).gist}: {text_number(total).printed.text}",
        f"{' + '.join(text_number(part).printed.text for part in parts)} = {found:,}",
        decided(found == _n(total)),
    )


def _images() -> Iterator[Finding]:
    yield _sum("cityscapes-images", "cityscapes_images", "cityscapes_fine", "cityscapes_coarse")
    yield _sum("cityscapes-fine", "cityscapes_fine", "cityscapes_train", "cityscapes_val", "cityscapes_test_images")
    yield _sum("cityscapes-stage-1", "cityscapes_stage1", "cityscapes_train", "cityscapes_coarse")
    coco = _n("stage1_images") - _n("voc_aug_train")
    yield Finding(
        "coco-images",
        text_number("stage1_images").places,
        f"{text_number('stage1_images').printed.text} images of COCO, SBD and VOC",
        f"{coco:,} of them must be COCO's, if SBD and VOC are the {text_number('voc_aug_train').printed.text}",
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
            text_number(cells).places,
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


_CITED = re.compile(r"\[(\d+)\]")


def find_wording(_: CostCounter) -> Iterator[Finding]:
    """Yield every finding about words and slides."""
    yield _refinement()
    yield _references()
    yield _slide_cells()
    yield _slide_references()


def _refinement() -> Finding:
    names = paper.section("words")["refinement"]
    distinct = sorted({name for name, _ in names})
    return Finding(
        "name-of-br",
        tuple(place for _, place in names),
        "boundary refinement has one abbreviation",
        f"it has {len(distinct)}: " + ", ".join(f"{name} ({place})" for name, place in names),
        decided(len(distinct) == 1),
    )


def _references() -> Finding:
    """Find reference numbers that stand for two methods."""
    methods: dict[str, set[str]] = defaultdict(set)
    rows = paper.section("words")["references"]
    for method, reference, _ in rows:
        methods[reference].add(method)
    doubled = {reference: sorted(names) for reference, names in methods.items() if len(names) > 1}
    return Finding(
        "references",
        tuple(dict.fromkeys(place for _, reference, place in rows if reference in doubled)),
        "a reference stands for one method",
        "; ".join(f"[{reference}] stands for {' and '.join(names)}" for reference, names in doubled.items())
        or "each does",
        decided(not doubled),
        "DPN is [24] in the reference list; DeepLab is [6] and [7]",
    )


def _slide_cells() -> Finding:
    tables = paper.section("slides")["tables"]
    compared, differ = 0, []
    for number, rows in tables.items():
        there = [list(row) for row in rows]
        here = _texts(int(number))
        compared += sum(bool(text) for row in there for text in row)
        if here != there:
            differ.append(number)
    return Finding(
        "slides-cells",
        tuple(f"table {number}" for number in tables),
        "the slides repeat the paper's tables",
        f"{compared} cells of {len(tables)} tables, differing: {', '.join(differ) or 'none'}",
        decided(not differ),
    )


def _texts(table: int) -> list[list[str]]:
    """Return the texts of a table row by row, in the paper's order."""
    labels = list(dict.fromkeys(row for row, _ in paper.cells(table)))
    columns = paper.columns(table)
    texts = ((paper.printed(table, label, column) for column in columns) for label in labels)
    return [[cell.text if cell else "" for cell in row] for row in texts]


def _slide_references() -> Finding:
    here = list(dict.fromkeys(row for row, _ in paper.cells(8)))
    there = paper.section("slides")["labels"]["8"]
    pairs = sorted(
        {
            (int(a[1]), int(b[1]))
            for a, b in zip(map(_CITED.search, here), map(_CITED.search, there), strict=True)
            if a is not None and b is not None
        }
    )
    kept, moved = [pair for pair in pairs if pair[0] == pair[1]], [pair for pair in pairs if pair[0] != pair[1]]
    steps = ", ".join(sorted({str(a - b) for a, b in moved}))
    return Finding(
        "slides-references",
        ("table 8", "slides"),
        "the slides cite as the paper does",
        f"up to [{kept[-1][0]}] they do; from [{moved[0][0]}] on by a number that is lower by {steps}",
        decided(not moved),
        "as if one reference had been added to the paper's list after the slides were made",
    )
