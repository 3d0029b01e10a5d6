"""Costs: what the text says of parameters and multiply-adds beyond Tables 2, 4 and 11 (additional table)."""

from __future__ import annotations

from repro.config.networks import GCN, Classifier, Conv, Head
from repro.paper.schema import Claim, Contrast, Cost, Ref, Row, Table, ratio

SIZES = (3, 5, 7, 9)
PARAMS, MACS = "Parameters", "Multiply-adds"
HEADS: dict[str, type[GCN | Conv]] = {"GCN": GCN, "Conv": Conv}
NETWORKS = {"ResNet50": Classifier("resnet50"), "ResNet50-GCN": Classifier("resnet50_gcn")}


def _head(name: str, k: int) -> str:
    return f"{name}, k = {k}"


def _of_head(head: Head) -> tuple[Cost, Cost]:
    """The head after res-5 of a 512 x 512 image, whose map is 16 x 16."""
    return Cost(head), Cost(head, "macs", size=512)


def _two_over_k(k: int) -> tuple[Contrast, Contrast]:
    """GCN costs 2/k of the convolution, to 5 %: its second layer, 21 to 21 channels, adds 1 %."""
    gcn, conv = (Ref(_head(name, k), MACS) for name in HEADS)
    return ratio(gcn, conv, 0.95 * 2 / k, 1.05 * 2 / k)


PLAIN, OURS = (Ref(name, PARAMS) for name in NETWORKS)

TABLE = Table(
    number=13,
    own="costs",
    title="Costs that the text speaks of and no table prints",
    corner="Network",
    columns=(PARAMS, MACS),
    rows=(
        *(Row(_head(name, k), _of_head(head(k))) for k in SIZES for name, head in HEADS.items()),
        *(Row(name, (Cost(net), Cost(net, "macs"))) for name, net in NETWORKS.items()),
    ),
    claims=(
        Claim(
            "gcn-two-over-k-compute",
            says="GCN needs O(2/k) of the multiply-adds of the plain convolution",
            where="3.1",
            quote="our GCN structure involves only O(2/k) computation cost and number of parameters",
            contrasts=tuple(contrast for k in SIZES for contrast in _two_over_k(k)),
        ),
        Claim(
            "resnet-gcn-same-params",
            says='both networks have a similar "number of parameters" (read: convolutions within 5 %)',
            where="4.1.2",
            quote="both network have similar computation cost and number of parameters",
            contrasts=ratio(OURS, PLAIN, 0.95, 1.05),
        ),
    ),
)
