"""Table 9: two stages of training on Cityscapes, then multi-scale testing and CRF (k = 25)."""

from __future__ import annotations

from repro.config.experiment import CRF, MULTI_SCALE, Evaluation, Training
from repro.config.networks import GCN, Model
from repro.paper.schema import Claim, Ref, Row, Score, Table, exceeds

COLUMN = "GCN + BR"
MODEL = Model(GCN(25), refine=True)
STAGE_1 = Training(MODEL, "cityscapes_mix")
STAGE_2 = Training(MODEL, "cityscapes", init=STAGE_1)
CELLS = {
    "Stage-1(%)": Score(STAGE_1, Evaluation(crops=4)),
    "Stage-2(%)": Score(STAGE_2, Evaluation(crops=4)),
    "Stage-2-MS(%)": Score(STAGE_2, Evaluation(crops=4, scales=MULTI_SCALE, flip=True)),
    "Stage-2-MS-CRF(%)": Score(STAGE_2, Evaluation(crops=4, scales=MULTI_SCALE, flip=True, crf=CRF())),
}
FIRST, SECOND, MS, MS_CRF = (Ref(label, COLUMN) for label in CELLS)

TABLE = Table(
    number=9,
    title="Stages of training on Cityscapes",
    corner="Phase",
    columns=(COLUMN,),
    rows=tuple(Row(label, (cell,)) for label, cell in CELLS.items()),
    claims=(
        Claim(
            "cityscapes-stage-helps",
            says="fine-tuning on the finely annotated images improves on Stage-1",
            where="Table 9",
            contrasts=(exceeds(SECOND, FIRST),),
        ),
        Claim(
            "cityscapes-ms-helps",
            says="multi-scale testing improves on one scale",
            where="Table 9",
            contrasts=(exceeds(MS, SECOND),),
        ),
        Claim(
            "cityscapes-crf-helps",
            says="dense CRF improves on multi-scale testing",
            where="Table 9",
            contrasts=(exceeds(MS_CRF, MS),),
        ),
    ),
)
