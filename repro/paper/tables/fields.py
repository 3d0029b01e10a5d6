"""Fields: the share of the image that the valid receptive field takes, against k (additional table)."""

from __future__ import annotations

from repro.config.networks import GCN, Conv1x1, Head
from repro.paper.schema import Claim, Contrast, Ref, Table, exceeds, score_row

SIZES = (3, 5, 7, 9, 11, 13, 15)
SHARE = "Share of the image (%)"
HALF = 50.0

HEADS: dict[str, Head] = {"base": Conv1x1(), **{str(k): GCN(k) for k in SIZES}}

TABLE = Table(
    number=15,
    own="fields",
    title="Valid receptive field against k, as measured by repro vrf-area",
    corner="k",
    columns=tuple(HEADS),
    rows=(score_row(SHARE, HEADS.values(), metric="field_area"),),
    claims=(
        Claim(
            "vrf-enlarged",
            says="GCN (k = 15) has a larger valid receptive field than the baseline",
            where="Figure 3, caption",
            quote="our Global Convolution Network significantly enlarges the VRF",
            contrasts=(exceeds(Ref(SHARE, "15"), Ref(SHARE, "base")),),
        ),
        Claim(
            "vrf-small",
            says="the baseline's field is much smaller than its receptive field, the whole image (read: under half)",
            where="3.1, footnote; Figure 3, caption",
            quote="network tends to gather information mainly from a much smaller region in the receptive field",
            contrasts=(Contrast(((1.0, Ref(SHARE, "base")),), above=None, below=HALF),),
        ),
    ),
)
