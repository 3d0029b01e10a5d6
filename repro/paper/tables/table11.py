"""Table 11: the layers and the multiply-adds of ResNet50 and ResNet50-GCN."""

from __future__ import annotations

from repro.config.networks import Classifier
from repro.paper.schema import Claim, Cost, Counting, Layout, Ref, Row, Table, ratio

NETWORKS = {"ResNet50": Classifier("resnet50"), "ResNet50-GCN": Classifier("resnet50_gcn")}
SIZED = {
    "conv1": "stem",
    "res-2": "res2",
    "res-3": "res3",
    "res-4": "res4",
    "res-5": "res5",
    "ImageNet Classifier": "classifier",
}
FLOPS = "MFlops (Conv)"
PLAIN, OURS = (Ref(FLOPS, column) for column in NETWORKS)


def _blocks(stage: str) -> tuple[Layout, ...]:
    return tuple(Layout(network, stage) for network in NETWORKS.values())


def _stage(label: str) -> Row:
    return Row(label, (Layout(NETWORKS["ResNet50"], SIZED[label], "size"), *_blocks(SIZED[label])))


TABLE = Table(
    number=11,
    title="Architectures of ResNet50 and ResNet50-GCN",
    corner="Component",
    columns=("Output Size", *NETWORKS),
    rows=(
        _stage("conv1"),
        Row("pool", (None, *_blocks("pool"))),
        *(_stage(label) for label in SIZED if label != "conv1"),
        Row(FLOPS, (None, *(Cost(network, "macs") for network in NETWORKS.values()))),
    ),
    claims=(
        Claim(
            "resnet-gcn-same-cost",
            says='both networks have "similar computation cost" (read: within 5 %)',
            where="4.1.2",
            quote="both network have similar computation cost and number of parameters",
            contrasts=ratio(OURS, PLAIN, 0.95, 1.05),
        ),
    ),
    readings=(
        Counting("stride in the first 1 x 1", PLAIN, Cost(NETWORKS["ResNet50"], "macs"), taken=True),
        Counting("stride in the 3 x 3", PLAIN, Cost(Classifier("resnet50", stride_in="conv2"), "macs")),
        Counting("branches concatenated", OURS, Cost(NETWORKS["ResNet50-GCN"], "macs"), taken=True),
        Counting("branches summed", OURS, Cost(Classifier("resnet50_gcn", branches="sum"), "macs")),
    ),
)
