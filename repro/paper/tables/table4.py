"""Table 4: stacks of k = 7 with fewer and fewer channels between, against GCN."""

from __future__ import annotations

from repro.config.networks import GCN, Head, Stack
from repro.paper.schema import Claim, Contrast, Ref, Table, exceeds, falls, params_row, score_row

HEADS: dict[str, Head] = {"2048": Stack(7, 2048), "1024": Stack(7, 1024), "210": Stack(7, 210), "2048 (GCN)": GCN(7)}
STACKS = tuple(HEADS)[:-1]
SCORE = {label: Ref("Score", label) for label in HEADS}
PARAMS = {label: Ref("# of Params", label) for label in HEADS}
GCN_LABEL = "2048 (GCN)"

TABLE = Table(
    number=4,
    title="Channels inside the stack of small convolutions",
    corner="m (Stack)",
    columns=tuple(HEADS),
    rows=(
        score_row("Score", HEADS.values()),
        params_row("# of Params", HEADS.values()),
    ),
    claims=(
        Claim(
            "stack-degrades",
            says="the stack's score suffers as its parameters become fewer",
            where="4.1.1 (2)",
            quote="its performance suffers from degradation with fewer parameters",
            contrasts=(*falls(*(SCORE[m] for m in STACKS)), *falls(*(PARAMS[m] for m in STACKS))),
        ),
        Claim(
            "gcn-over-narrow-stacks",
            says="GCN outperforms the stack at every width",
            where="Table 4, caption",
            quote="GCN outperforms the convolutional stack design",
            contrasts=tuple(exceeds(SCORE[GCN_LABEL], SCORE[m]) for m in STACKS),
        ),
        Claim(
            "gcn-less-params-than-stacks",
            says="GCN does so with less parameters",
            where="Table 4, caption",
            quote="with less parameters",
            contrasts=tuple(exceeds(PARAMS[m], PARAMS[GCN_LABEL]) for m in STACKS),
        ),
        Claim(
            "stack-much-more-params",
            says='at k = 7 the stack brings "much more" parameters than GCN (read: ten times)',
            where="4.1.1 (2)",
            quote="convolutional stack will bring much more parameters than GCN",
            contrasts=(Contrast(((1.0, PARAMS["2048"]), (-10.0, PARAMS[GCN_LABEL]))),),
        ),
    ),
)
