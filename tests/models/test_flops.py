"""Tests of parameters and multiply-adds: the paper's numbers, a closed form, and fvcore."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from repro.config.networks import GCN, Classifier, Conv, Conv1x1, Head, Model, Stack
from repro.models import build, flops
from repro.paper.schema import Cost

PRINTED = [
    (GCN(3), 260_694, 260),
    (GCN(5), 434_490, 434),
    (GCN(7), 608_286, 608),
    (GCN(9), 782_082, 782),
    (Conv(3), 387_072, 387),
    (Conv(5), 1_075_200, 1075),
    (Conv(7), 2_107_392, 2107),
    (Conv(9), 3_483_648, 3484),
    (Stack(7, 2048), 75_884_544, 75885),
    (Stack(7, 1024), 28_505_088, 28505),
    (Stack(7, 210), 4_307_310, 4307),
]
CONVOLUTIONS = [
    (Classifier(), 3_855_925_248),
    (Classifier(stride_in="conv2"), 4_087_136_256),
    (Classifier("resnet50_gcn"), 3_730_352_752),
    (Classifier("resnet50_gcn", branches="sum"), 3_589_458_544),
]


@pytest.mark.parametrize(("head", "exact", "thousands"), PRINTED, ids=str)
def test_parameters_of_tables_2_and_4(head: Head, exact: int, thousands: int) -> None:
    """Every printed count is the res-5 head's alone, without biases, within 1 K of the print."""
    assert flops.head_params(head, 2048, 21) == exact
    assert flops.measure(Cost(head)) == exact
    assert abs(exact - 1000 * thousands) <= 1000


@pytest.mark.parametrize(("k", "exact"), [(11, 955_878), (13, 1_129_674), (15, 1_303_470)])
def test_parameters_of_larger_kernels(k: int, exact: int) -> None:
    """The kernels of Table 1 that Table 2 leaves out, and the formula 2k * 21 * (2048 + 21)."""
    assert flops.head_params(GCN(k), 2048, 21) == exact == 2 * k * 21 * (2048 + 21)


@pytest.mark.parametrize(("classifier", "exact"), CONVOLUTIONS, ids=str)
def test_multiply_adds_of_table_11(classifier: Classifier, exact: int) -> None:
    """Four readings of the two networks, convolutions only, at 224 x 224; none is 3700 M twice."""
    assert flops.classifier_conv_macs(classifier) == exact
    assert flops.measure(Cost(classifier, "macs")) == exact


@pytest.mark.parametrize("head", [GCN(7), GCN(15), Conv1x1(), Conv(5), Stack(7, 1024)], ids=str)
def test_multiply_adds_of_heads(head: Head) -> None:
    """A head without bias and stride does one multiply-add a parameter and cell; fvcore says the same."""
    expected = flops.head_params(head, 64, 5) * 6 * 9
    assert flops.head_macs(head, 64, 5, 6, 9) == expected
    assert flops.head_macs(head, 64, 5, 6, 9, flops.fvcore_macs) == expected


@pytest.mark.parametrize(
    "model",
    [
        Model(GCN(7), refine=True, backbone="resnet50"),
        Model(Conv(3), refine=True, backbone="small"),
        Model(Stack(5), backbone="small_gcn"),
        Classifier("small_gcn"),
    ],
    ids=str,
)
def test_fvcore_counts_the_same(model: Model | Classifier) -> None:
    """Whole networks, deconvolutions and linear layers included, on a size that needs padding."""
    assert flops.network_macs(model, 7, 50, 64) == flops.network_macs(model, 7, 50, 64, flops.fvcore_macs) > 0


def test_torchs_own_counter_counts_the_same() -> None:
    """Nothing is lost with the batch norms and start values that our count leaves out."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        build(Classifier("small_gcn"), 7).eval()(torch.empty(1, 3, 50, 64))
    assert 2 * flops.network_macs(Classifier("small_gcn"), 7, 50, 64) == counter.get_total_flops()


def test_fvcore_counts_table_11_the_same() -> None:
    """The second opinion on a whole classifier's convolutions."""
    assert flops.measure(Cost(Classifier("small"), "macs", size=64), flops.fvcore_macs) == flops.measure(
        Cost(Classifier("small"), "macs", size=64)
    )


def test_parameters_of_whole_networks() -> None:
    """ResNet-50 has the 25,557,032 parameters that everybody prints; networks count as their modules do."""
    assert flops.network_params(Classifier(), 1000) == 25_557_032
    assert flops.network_params(Classifier("resnet152"), 1000) == 60_192_808
    whole, backbone = (flops.network_params(model, 21) for model in (Model(GCN(7)), Classifier("resnet152")))
    heads = sum(flops.head_params(GCN(7), c, 21) for c in (256, 512, 1024, 2048))
    assert whole == backbone - (2048 + 1) * 21 + heads + 5 * 21 * 21 * 16


def test_nothing_is_allocated() -> None:
    """Torch's counter builds its module on the meta device."""
    seen: list[torch.device] = []

    def make() -> nn.Module:
        module = nn.Conv2d(3, 4, 3)
        seen.append(module.weight.device)
        return module

    assert flops.torch_macs(make, (1, 3, 5, 5)) == {"conv": 4 * 3 * 9 * 9, "matmul": 0}
    assert seen == [torch.device("meta")]


def test_measured_heads_stand_at_stride_32() -> None:
    """A head's cell is counted on res-5's map: 7 x 7 for 224 pixels, 16 x 16 for 512."""
    assert flops.measure(Cost(GCN(7), "macs")) == 608_286 * 49
    assert flops.measure(Cost(GCN(7), "macs", size=512)) == 608_286 * 256


def test_layout_is_table_11s() -> None:
    """Components, output sizes and blocks of both columns, read off the modules."""
    plain, gcn = flops.layout(Classifier()), flops.layout(Classifier("resnet50_gcn"))
    assert plain[:5] == (
        ("conv1", "112 x 112", "7 x 7, 64, stride 2"),
        ("pool", "56 x 56", "3 x 3 max pool, stride 2"),
        ("res-2", "56 x 56", "[1 x 1, 64; 3 x 3, 64; 1 x 1, 256] x 3"),
        ("res-3", "28 x 28", "[1 x 1, 128; 3 x 3, 128; 1 x 1, 512] x 4"),
        ("res-4", "14 x 14", "[1 x 1, 256; 3 x 3, 256; 1 x 1, 1024] x 6"),
    )
    assert gcn[:4] == plain[:4]
    assert gcn[4][2] == "[(1 x 5, 85) (5 x 1, 85); (5 x 1, 85) (1 x 5, 85); 1 x 1, 1024] x 6"
    assert gcn[5] == ("res-5", "7 x 7", "[(1 x 7, 128) (7 x 1, 128); (7 x 1, 128) (1 x 7, 128); 1 x 1, 2048] x 3")
    assert gcn[6] == ("ImageNet Classifier", "1 x 1", "global average pool, 1000-d fc, softmax")


def test_no_torchvision_and_no_fvcore() -> None:
    """Importing models and cost starts neither torchvision nor fvcore."""
    code = "import sys, repro.models, repro.models.flops; print(sorted({'torchvision', 'fvcore'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
