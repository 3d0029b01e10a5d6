"""Table 8: the VOC 2012 test set, earlier methods and ours; only the test server can score it."""

from __future__ import annotations

from repro.config.experiment import CRF, MULTI_SCALE, Evaluation, Training
from repro.config.networks import GCN, Model
from repro.paper.schema import Cited, Claim, Ref, Row, Submitted, Table, exceeds

COLUMN = "mean-IoU(%)"
OURS = "Our approach"
METHODS = (
    "FCN-8s-heavy [30]",
    "TTI_zoomout_v2 [26]",
    "MSRA_BoxSup [9]",
    "DeepLab-MSc-CRF-LargeFOV [6]",
    "Oxford_TVG-CRF-RNN-COCO [38]",
    "CUHK_DPN-COCO [24]",
    "Oxford_TVG_HO-CRF [2]",
    "CASIA_IVA_OASeg [34]",
    "Adelaide_VeryDeep-FCN-VOC [35]",
    "LRR_4x_ResNet-COCO [12]",
    "Deeplabv2-CRF [7]",
    "CentraleSupelec Deep G-CRF[5]",
)
MODEL = Model(GCN(15), refine=True)
STAGE_1 = Training(MODEL, "coco_voc_aug")
STAGE_2 = Training(MODEL, "voc_aug", init=STAGE_1)
STAGE_3 = Training(MODEL, "voc", init=STAGE_2)
PROTOCOL = Evaluation(data="voc_test", scales=MULTI_SCALE, flip=True, crf=CRF())

TABLE = Table(
    number=8,
    title="VOC 2012 test set",
    corner="Method",
    columns=(COLUMN,),
    rows=(
        *(Row(method, (Cited(),)) for method in METHODS),
        Row(OURS, (Submitted(STAGE_3, PROTOCOL, server="voc"),)),
    ),
    claims=(
        Claim(
            "voc-state-of-the-art",
            says="the result outperforms all the earlier ones on the VOC test set",
            where="4.2",
            quote="Our work has outperformed all the previous state-of-the-arts",
            contrasts=tuple(exceeds(Ref(OURS, COLUMN), Ref(method, COLUMN)) for method in METHODS),
        ),
        Claim(
            "voc-lead",
            says="it leads the best of them by 2 points",
            where="abstract",
            quote="significantly outperforms previous results",
            contrasts=(exceeds(Ref(OURS, COLUMN), Ref(METHODS[-1], COLUMN), by=1.95),),
        ),
    ),
)
