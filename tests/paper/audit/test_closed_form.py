"""Counts in closed form: against the paper's own arithmetic, against the built modules, and what cannot be counted."""

from __future__ import annotations

from itertools import product

import pytest

from repro.config.errors import SpecError
from repro.config.networks import GCN, Classifier, Conv, Conv1x1, Head, Stack
from repro.models import flops
from repro.paper.audit import closed_form
from repro.paper.schema import Cost
from repro.paper.tables import all_tables


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (GCN(3), 260_694),
        (GCN(15), 1_303_470),
        (Conv1x1(), 43_008),
        (Conv(9), 3_483_648),
        (Stack(7), 75_884_544),
        (Stack(7, 1024), 28_505_088),
        (Stack(7, 210), 4_307_310),
    ],
)
def test_head_params(head: Head, expected: int) -> None:
    """A head after res-5 has the exact count of its formula."""
    assert closed_form.head_params(head) == expected


def test_biases() -> None:
    """Biases add one a channel of every convolution: 21 of one, 4 x 21 of GCN, 2 m + 21 of a stack of three."""
    for head, extra in ((Conv(5), 21), (GCN(5), 84), (Stack(7, 210), 441)):
        assert closed_form.head_params(head, bias=True) - closed_form.head_params(head) == extra


def test_stack_of_one_is_the_convolution() -> None:
    """A stack of k = 3 is the 3 x 3 convolution, whatever its m."""
    assert closed_form.layers(Stack(3, 7), 64, 5) == closed_form.layers(Conv(3), 64, 5)


@pytest.mark.parametrize(
    ("classifier", "expected"),
    [
        (Classifier("resnet50"), 3_856),
        (Classifier("resnet50", stride_in="conv2"), 4_087),
        (Classifier("resnet50_gcn"), 3_730),
        (Classifier("resnet50_gcn", branches="sum"), 3_589),
    ],
)
def test_conv_macs(classifier: Classifier, expected: int) -> None:
    """Each reading of Table 11 gives its count, in millions."""
    assert round(closed_form.conv_macs(classifier) / 1e6) == expected


def test_conv_params() -> None:
    """ResNet-50 has 25,557,032 weights, of which 2,049,000 are linear and 53,120 batch norm's."""
    assert closed_form.conv_params(Classifier("resnet50")) == 25_557_032 - 2_049_000 - 53_120


@pytest.mark.parametrize(
    ("backbone", "stride", "branches"),
    list(product(("resnet50", "resnet50_gcn"), ("conv1", "conv2"), ("concat", "sum"))),
)
def test_networks_against_the_modules(backbone: str, stride: str, branches: str) -> None:
    """The layers that Table 11 prints cost exactly what torch counts on the built network."""
    network = Classifier(backbone, stride, branches)  # type: ignore[arg-type]
    assert closed_form.conv_macs(network) == flops.classifier_conv_macs(network)


def test_every_count_cell_against_the_modules() -> None:
    """Closed form and modules agree on every count of every table."""
    cells = {
        cell for table in all_tables().values() for row in table.rows for cell in row.cells if isinstance(cell, Cost)
    }
    assert len(cells) == 23
    assert {cell: closed_form.count(cell) for cell in cells} == {cell: flops.measure(cell) for cell in cells}


def test_blocks_are_read() -> None:
    """A printed block becomes lines of (height, width, channels) and its repetitions."""
    lines, times = closed_form.block("res-4", "ResNet50-GCN")
    assert lines == [[(1, 5, 85), (5, 1, 85)], [(5, 1, 85), (1, 5, 85)], [(1, 1, 1024)]]
    assert times == 6


def test_what_has_no_closed_form() -> None:
    """A network that Table 11 does not print, and a GCN of several sizes, are refused by name."""
    with pytest.raises(SpecError, match="'resnet101': Table 11 prints"):
        closed_form.conv_macs(Classifier("resnet101"))
    with pytest.raises(SpecError, match="no closed form"):
        closed_form.head_params(GCN((3, 5, 7, 9)))
