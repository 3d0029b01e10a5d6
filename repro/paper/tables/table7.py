"""Table 7: three stages of training on COCO, SBD and VOC, then multi-scale testing and CRF."""

from __future__ import annotations

from repro.config.experiment import CRF, MULTI_SCALE, Evaluation, Training
from repro.config.networks import GCN, Conv1x1, Model
from repro.paper.schema import Claim, Ref, Row, Score, Table, exceeds, rises

MODELS = {"Baseline": Model(Conv1x1()), "GCN": Model(GCN(15)), "GCN + BR": Model(GCN(15), refine=True)}
STAGES = {"Stage-1(%)": "coco_voc_aug", "Stage-2(%)": "voc_aug", "Stage-3(%)": "voc"}
MS, MS_CRF = "Stage-3-MS(%)", "Stage-3-MS-CRF(%)"


def _stages(model: Model) -> list[Training]:
    """Return the chain of trainings, each starting from the one before."""
    chain: list[Training] = []
    for data in STAGES.values():
        chain.append(Training(model, data, init=chain[-1] if chain else None))
    return chain


CHAINS = {label: _stages(model) for label, model in MODELS.items()}
FINAL = CHAINS["GCN + BR"][-1]
AT = {stage: {label: Ref(stage, label) for label in MODELS} for stage in (*STAGES, MS, MS_CRF)}

TABLE = Table(
    number=7,
    title="Stages of training on VOC 2012",
    corner="Phase",
    columns=tuple(MODELS),
    rows=(
        *(Row(stage, tuple(Score(chain[i]) for chain in CHAINS.values())) for i, stage in enumerate(STAGES)),
        Row(MS, (None, None, Score(FINAL, Evaluation(scales=MULTI_SCALE, flip=True)))),
        Row(MS_CRF, (None, None, Score(FINAL, Evaluation(scales=MULTI_SCALE, flip=True, crf=CRF())))),
    ),
    claims=(
        Claim(
            "gcn-br-prevails",
            says="GCN + BR prevails at every stage",
            where="4.2",
            quote="Our GCN + BR model clearly prevails",
            contrasts=tuple(
                exceeds(AT[stage]["GCN + BR"], AT[stage][other]) for stage in STAGES for other in ("Baseline", "GCN")
            ),
        ),
        Claim(
            "gcn-over-baseline-stages",
            says="GCN is ahead of the baseline at every stage",
            where="Table 7",
            contrasts=tuple(exceeds(AT[stage]["GCN"], AT[stage]["Baseline"]) for stage in STAGES),
        ),
        Claim(
            "stages-help",
            says="each stage of training improves on the one before, for every model",
            where="Table 7",
            contrasts=tuple(step for label in MODELS for step in rises(*(AT[stage][label] for stage in STAGES))),
        ),
        Claim(
            "voc-ms-helps",
            says="multi-scale testing brings benefits",
            where="4.2",
            quote="the post-processing multi-scale and denseCRF [18] also bring benefits",
            contrasts=(exceeds(AT[MS]["GCN + BR"], AT["Stage-3(%)"]["GCN + BR"]),),
        ),
        Claim(
            "voc-crf-helps",
            says="dense CRF brings benefits",
            where="4.2",
            quote="the post-processing multi-scale and denseCRF [18] also bring benefits",
            contrasts=(exceeds(AT[MS_CRF]["GCN + BR"], AT[MS]["GCN + BR"]),),
        ),
        Claim(
            "coco-helps",
            says="pre-training on COCO pays: Stage-2 beats the same model trained on the same images alone",
            where="4.2; Tables 1, 5",
            quote="we employ the Microsoft COCO dataset [22] to pre-train our model",
            contrasts=(
                exceeds(AT["Stage-2(%)"]["Baseline"], Ref("Score", "base", table=1)),
                exceeds(AT["Stage-2(%)"]["GCN"], Ref("Score", "15", table=1)),
                exceeds(AT["Stage-2(%)"]["GCN + BR"], Ref("GCN + BR", "Overall (IoU)", table=5)),
            ),
        ),
    ),
)
