"""Open questions of the paper: for each interpretation, the numbers that it reproduces and those that it breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from repro.config.networks import Classifier, Head, Stack
from repro.paper.audit import closed_form
from repro.paper.audit.counts import ROUNDING, cells
from repro.paper.audit.finding import Check, Reading, points
from repro.paper.audit.networks import GCN_STAGES, HUNDRED, ROW, printed_width, solve_width
from repro.paper.audit.scores import STEP
from repro.paper.audit.text import STRIDE
from repro.paper.printed import number, text_number
from repro.paper.schema import Cost


def readings() -> tuple[Reading, ...]:
    """Return every interpretation of every open question, options of one question together."""
    return tuple(reading for part in (_heads(), _networks(), _sentences()) for reading in part)


Checks = Mapping[Check, bool]
"""Checks of an interpretation -> whether it gives the printed value."""


def _reading(question: str, option: str, checks: Checks, *, taken: bool = False) -> Reading:
    kept = tuple(check for check, holds in checks.items() if holds)
    return Reading(question, option, taken, kept, tuple(check for check in checks if check not in kept))


def _check(place: str, printed: str, computed: str) -> Check:
    """Return the check of a cell that ``counts.cells`` named: ``table 2, row, column``."""
    table, _, cell = place.partition(", ")
    return Check(printed, table, cell, computed)


def _counted(count: Callable[[Cost], int]) -> dict[Check, bool]:
    """Return for each printed head count whether ``count`` gives it to one step (1K)."""
    found = {place: (count(cost), text) for place, (cost, text) in cells(2, 4).items()}
    return {_check(place, text.text, f"{ours:,}"): text.matches(ours) for place, (ours, text) in found.items()}


def _params(cost: Cost, in_channels: int = 2048, num_classes: int = 21, *, bias: bool = False) -> int:
    assert not isinstance(cost.of, Classifier)
    return closed_form.head_params(cost.of, in_channels, num_classes, bias=bias)


def _every_stage(cost: Cost) -> int:
    return sum(_params(cost, in_channels) for in_channels in (256, 512, 1024, 2048))


def _separate_scores(cost: Cost) -> int:
    """Count a stack that ends in ``m`` channels, with a 1 x 1 for the scores after it."""
    head: Head | Classifier = cost.of
    if not isinstance(head, Stack):
        return _params(cost)
    m = head.m
    return 9 * (2048 * m + ((head.k - 1) // 2 - 1) * m * m) + 21 * m


def _heads() -> Iterator[Reading]:
    question = "biases of the heads"
    yield _reading(question, "none", _counted(_params), taken=True)
    yield _reading(question, "one a channel", _counted(lambda cost: _params(cost, bias=True)))
    question = "heads that are counted"
    yield _reading(question, "the one after res-5", _counted(_params), taken=True)
    yield _reading(question, "all four, res-2 to res-5", _counted(_every_stage))
    question = "classes"
    yield _reading(question, "20 and background", _counted(_params), taken=True)
    yield _reading(question, "20", _counted(lambda cost: _params(cost, num_classes=20)))
    question = "where a stack makes scores"
    yield _reading(question, "in its last 3 x 3 (figure 4 D)", _counted(_params), taken=True)
    yield _reading(question, "in a 1 x 1 after it", _counted(_separate_scores))
    question = "rounding of counts to thousands"
    for option, rule in ROUNDING.items():
        thousands = {place: (f"{rule(_params(cost) / 1000)}K", text) for place, (cost, text) in cells(2, 4).items()}
        checks = {_check(place, text.text, ours): ours == text.text for place, (ours, text) in thousands.items()}
        yield _reading(question, option, checks, taken=option == "to nearest")


def _mflops(network: Classifier, factor: int = 1, left_out: tuple[str, ...] = ()) -> dict[Check, bool]:
    """Return whether a network's count, rounded to hundreds of millions, is that of Table 11."""
    column = closed_form.NETWORKS[network.backbone]
    found = factor * sum(layer.macs for part, layer in closed_form.network(network) if part not in left_out)
    printed = number(11, ROW, column)
    check = Check(f"{printed / 1e6:.0f} M", "table 11", f"{ROW}, {column}", f"{found / 1e6:,.0f} M")
    return {check: abs(found - printed) <= HUNDRED / 2}


def _networks() -> Iterator[Reading]:
    plain, gcn = Classifier("resnet50"), Classifier("resnet50_gcn")
    question = "branches of a ResNet-GCN block"
    for option, joined in (("concat", 2), ("sum", 1)):
        solved = {row: solve_width(row, joined) for row in GCN_STAGES}
        widths = {
            Check(f"m' = {printed_width(row)}", "table 11", row, f"{width:.1f}"): abs(width - printed_width(row)) < 1
            for row, width in solved.items()
        }
        network = Classifier("resnet50_gcn", branches="concat" if joined == 2 else "sum")  # noqa: PLR2004
        yield _reading(question, option, {**widths, **_mflops(network)}, taken=option == "concat")
    question = "convolution that carries a bottleneck's stride"
    for option, stride in (("the first 1 x 1", "conv1"), ("the 3 x 3", "conv2")):
        pair = (
            Classifier(backbone, stride_in="conv1" if stride == "conv1" else "conv2")
            for backbone in closed_form.NETWORKS
        )
        checks = {name: holds for network in pair for name, holds in _mflops(network).items()}
        yield _reading(question, option, checks, taken=stride == "conv1")
    question = "MFLOPs (Conv)"
    for option, factor, left_out in (
        ("multiply-adds of every convolution", 1, ()),
        ("a multiply-add is two", 2, ()),
        ("without conv1", 1, ("conv1",)),
        ("without the shortcuts", 1, ("shortcut",)),
    ):
        checks = {**_mflops(plain, factor, left_out), **_mflops(gcn, factor, left_out)}
        yield _reading(question, option, checks, taken=option.startswith("multiply-adds"))


def _sentences() -> Iterator[Reading]:
    question = '"the smallest one" of section 4.1.1'
    for option, column in (("k = 3", "3"), ("the baseline", "base")):
        lead = number(1, "Score", "15") - number(1, "Score", column)
        margin = text_number("margin_k15")
        checks = {Check(margin.printed.text, "4.1.1", "", points(lead)): abs(lead - margin.value) < STEP / 2}
        yield _reading(question, option, checks, taken=column == "base")
    question = '"large kernel sizes" of section 4.1.1 (2)'
    for least in (3, 5, 7, 9):
        sizes = [k for k in (3, 5, 7, 9, 11) if k >= least]
        leads = {k: number(3, "Score (GCN)", str(k)) - number(3, "Score (Stack)", str(k)) for k in sizes}
        checks = {
            Check(f"GCN over the stack at k = {k}", "table 3", "", f"{lead:+.1f}"): lead > 0
            for k, lead in leads.items()
        }
        yield _reading(question, f"k >= {least}", checks, taken=least == 7)  # noqa: PLR2004
    question = "crops of a Cityscapes image"
    side, width, height = (int(text_number(f"cityscapes_{name}").value) for name in ("tile", "width", "height"))
    tiles = int(text_number("cityscapes_tiles").value)
    apart = -(-width // side) * -(-height // side)
    crops = f"{tiles} crops"
    yield _reading(question, "apart", {Check(crops, "4.3", "", f"{apart}"): apart == tiles})
    spaced = {(width - side) * i // (tiles - 1) for i in range(tiles)}
    yield _reading(
        question,
        "evenly spaced, overlapping",
        {Check(crops, "4.3", "", f"{len(spaced)}"): len(spaced) == tiles},
        taken=True,
    )
    question = "kernel that makes a map global"
    cells_wide = int(text_number("input_size").value) // STRIDE
    for option, k in (("as large as the map", cells_wide), ("twice the map less one", 2 * cells_wide - 1)):
        largest = text_number("k_largest")
        checks = {Check(f"k = {largest.printed.text} roughly", "4.1.1", "", f"{k}"): abs(k - largest.value) <= 1}
        yield _reading(question, option, checks, taken=option.startswith("as"))
