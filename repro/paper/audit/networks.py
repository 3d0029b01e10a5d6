"""Audit of Table 11: multiply-adds under every convention, widths of the ResNet-GCN blocks, output sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

from repro.config.networks import Classifier
from repro.paper import printed as paper
from repro.paper.audit import closed_form
from repro.paper.audit.finding import CostCounter, Finding, decided
from repro.paper.schema import Cost

ROW = "MFlops (Conv)"
HUNDRED = 1e8
"""Multiply-adds: the assumed rounding of 3700 M."""
GCN_STAGES = ("res-4", "res-5")


def find(count: CostCounter) -> Iterator[Finding]:
    """Yield every finding about Table 11."""
    yield _mflops(count)
    yield _similar_params()
    yield _widths()
    yield _depth()
    yield from _sizes()


def conventions(count: CostCounter) -> dict[str, tuple[int, int]]:
    """Return the multiply-adds of ResNet50 and ResNet50-GCN under every convention for stride and branches."""
    found = {}
    for stride, branches in product(("conv1", "conv2"), ("concat", "sum")):
        pair = (Classifier(backbone, stride_in=stride, branches=branches) for backbone in closed_form.NETWORKS)  # type: ignore[arg-type]
        plain, gcn = (count(Cost(network, "macs")) for network in pair)
        found[f"stride in {stride}, {branches}"] = (plain, gcn)
    return found


def _mflops(count: CostCounter) -> Finding:
    printed = {paper.number(11, ROW, column) for column in closed_form.NETWORKS.values()}
    found = conventions(count)
    apart = min(abs(plain - gcn) for plain, gcn in found.values())
    twice = [
        name
        for name, pair in found.items()
        if all(abs(value - target) <= HUNDRED / 2 for value in pair for target in printed)
    ]
    return Finding(
        "mflops",
        ("table 11",),
        "3700 MFLOPs for ResNet50 and for ResNet50-GCN",
        "; ".join(f"{name}: {plain / 1e6:,.0f} and {gcn / 1e6:,.0f}" for name, (plain, gcn) in found.items()),
        decided(bool(twice)),
        f"no convention rounds or cuts both to one hundred: they are {apart / 1e6:,.0f} M apart at least, "
        "whether the stem and the shortcuts (equal in both) are counted or not",
    )


def _similar_params() -> Finding:
    plain, gcn = (closed_form.conv_params(Classifier(backbone)) for backbone in closed_form.NETWORKS)
    return Finding(
        "resnet-gcn-params",
        ("4.1.2",),
        "both networks have a similar number of parameters",
        f"convolutions of ResNet50 {plain:,}, of ResNet50-GCN {gcn:,} (concatenated): {100 * (gcn / plain - 1):+.1f} %",
        "open",
        "blocks after the first of a stage are equal; the first, of fewer input channels, makes the difference",
    )


def solve_width(row: str, joined: int) -> float:
    """Return the m' at which a ResNet-GCN block has the parameters of the bottleneck it replaces.

    Both with as many input as output channels. ``joined`` is 2 for concatenated branches, 1 for summed ones.
    """
    (_, (_, _, mid), (_, _, c)), _ = _lines(row, "ResNet50")
    (_, k, _), *_ = _lines(row, "ResNet50-GCN")[0]
    target = 2 * c * mid + 9 * mid**2
    linear = 2 * k * c + joined * c
    return (-linear + math.sqrt(linear**2 + 8 * k * target)) / (4 * k)


def _lines(row: str, column: str) -> tuple[list[tuple[int, int, int]], int]:
    """Return the first convolution of each line of a block, as (height, width, channels), and the repetitions."""
    lines, times = closed_form.block(row, column)
    return [line[0] for line in lines], times


def printed_width(row: str) -> int:
    """Return the m' that Table 11 prints."""
    return _lines(row, "ResNet50-GCN")[0][0][2]


def _widths() -> Finding:
    solved = {row: {joined: solve_width(row, joined) for joined in (2, 1)} for row in GCN_STAGES}
    text = "; ".join(
        f"{row}: {by[2]:.1f} concatenated, {by[1]:.1f} summed, printed {printed_width(row)}"
        for row, by in solved.items()
    )
    agrees = all(abs(solved[row][2] - printed_width(row)) < 1 for row in GCN_STAGES)
    return Finding(
        "widths-of-resnet-gcn",
        ("4.1.2", "table 11", "figure 5"),
        "sizes are carefully selected so that both networks cost the same",
        text,
        decided(agrees),
        "equal parameters decide for concatenation; 85 is that width rounded, 128 is it cut",
    )


def _depth() -> Finding:
    blocks = [_lines(row, "ResNet50") for row in closed_form.STAGES]
    depth = sum(len(lines) * times for lines, times in blocks) + 2
    return Finding(
        "depth-of-resnet50",
        ("table 11",),
        "ResNet50",
        f"{depth} layers: the first, {depth - 2} in {sum(times for _, times in blocks)} blocks, the classifier",
        decided(f"ResNet{depth}" == closed_form.NETWORKS["resnet50"]),
    )


def _sizes() -> Iterator[Finding]:
    sides = {row: closed_form.side(row) for row in ("conv1", *closed_form.STAGES)}
    image = int(paper.text_number("crop_imagenet").value)
    halves = [a == 2 * b for a, b in zip([image, *sides.values()], sides.values(), strict=False)]
    yield Finding(
        "output-sizes",
        ("table 11",),
        "each component halves the map",
        f"{image} to {', '.join(map(str, sides.values()))}",
        decided(all(halves)),
    )
    pool = paper.printed(11, "pool", "ResNet50")
    pooled = pool is not None and "pool, stride 2" in pool.text
    yield Finding(
        "downsampling",
        ("table 11, caption",),
        "between every two components the map is halved by a convolution of stride 2",
        f"from {sides['conv1']} to {sides['res-2']} the table prints: {pool.text if pool else 'nothing'}",
        decided(not pooled),
        "the caption forgets the max pool",
    )
    yield _figure2(sides, image)
    yield _finest()


def _figure2(sides: dict[str, int], image: int) -> Finding:
    stages = {name: [int(n) for n in text.split(" x ")] for name, text in paper.section("figure2")["stages"]}
    deconvs = [int(text.split(" x ")[0]) for text in paper.section("figure2")["deconvs"]]
    scale = int(paper.text_number("input_size").value) / image
    same = all(stages[name][0] == side * scale for name, side in sides.items())
    channels = all(closed_form.block(row, "ResNet50")[0][-1][-1][2] == stages[row][2] for row in closed_form.STAGES)
    doubled = deconvs == [stages["res-5"][0] * 2 ** (i + 1) for i in range(len(deconvs))]
    return Finding(
        "figure-2-sizes",
        ("figure 2", "table 11"),
        "sizes and channels of the pipeline",
        f"table 11's sizes times {scale:.3g}, its channels, {len(deconvs)} doublings up: "
        f"{same}, {channels}, {doubled}".lower(),
        decided(same and channels and doubled and deconvs[-1] == image * scale),
    )


def _finest() -> Finding:
    stages = dict(paper.section("figure2")["stages"])
    finest = int(paper.text_number("input_size").value) // int(stages["res-2"].split(" x ")[0])
    framework = paper.text_number("fcn_stride")
    return Finding(
        "fcn4",
        (*framework.places, "figure 2"),
        f"the framework is FCN{framework.printed.text}",
        f"the finest map that is scored, res-2, has stride {finest}",
        decided(finest == framework.value),
    )
