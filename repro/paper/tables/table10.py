"""Table 10: the Cityscapes test set, earlier methods and ours; only the test server can score it."""

from __future__ import annotations

from repro.config.experiment import CRF, MULTI_SCALE, Evaluation, Training
from repro.config.networks import GCN, Model
from repro.paper.schema import Cited, Claim, Ref, Row, Submitted, Table, exceeds

COLUMN = "mean-IoU(%)"
OURS = "Our approach"
METHODS = (
    "FCN 8s [30]",
    "DPN [24]",
    "CRFasRNN [38]",
    "Scale invariant CNN + CRF [19]",
    "Dilation10 [37]",
    "DeepLabv2-CRF [7]",
    "Adelaide_context [21]",
    "LRR-4x [12]",
)
MODEL = Model(GCN(25), refine=True)
STAGE_2 = Training(MODEL, "cityscapes", init=Training(MODEL, "cityscapes_mix"))
PROTOCOL = Evaluation(data="cityscapes_test", crops=4, scales=MULTI_SCALE, flip=True, crf=CRF())

TABLE = Table(
    number=10,
    title="Cityscapes test set",
    corner="Method",
    columns=(COLUMN,),
    rows=(
        *(Row(method, (Cited(),)) for method in METHODS),
        Row(OURS, (Submitted(STAGE_2, PROTOCOL, server="cityscapes"),)),
    ),
    claims=(
        Claim(
            "cityscapes-state-of-the-art",
            says="the result outperforms all the earlier ones on the Cityscapes test set",
            where="4.3",
            quote="we outperforms all the previous publications",
            contrasts=tuple(exceeds(Ref(OURS, COLUMN), Ref(method, COLUMN)) for method in METHODS),
        ),
        Claim(
            "cityscapes-lead",
            says="it leads the best of them by 5.1 points",
            where="abstract",
            quote="significantly outperforms previous results",
            contrasts=(exceeds(Ref(OURS, COLUMN), Ref(METHODS[-1], COLUMN), by=5.05),),
        ),
    ),
)
