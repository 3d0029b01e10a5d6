"""Table 5: where GCN and BR help, accuracy near boundaries and away from them (k = 15)."""

from __future__ import annotations

from repro.config.experiment import Training
from repro.config.networks import GCN, Conv1x1, Model
from repro.paper.schema import Claim, Ref, Row, Score, Table, equivalent, exceeds, gains_more

COLUMNS = {
    "Boundary (acc.)": "boundary_acc",
    "Internal (acc.)": "internal_acc",
    "Overall (IoU)": "miou",
}
MODELS = {"Baseline": Model(Conv1x1()), "GCN": Model(GCN(15)), "GCN + BR": Model(GCN(15), refine=True)}
BOUNDARY, INTERNAL, OVERALL = ({model: Ref(model, column) for model in MODELS} for column in COLUMNS)
MINOR = 0.5
"""Points; "minor" is less than the half point that a change of seed alone may bring."""


TABLE = Table(
    number=5,
    title="Boundary and internal regions",
    corner="Model",
    columns=tuple(COLUMNS),
    rows=tuple(
        Row(label, tuple(Score(Training(model), metric=metric) for metric in COLUMNS.values()))
        for label, model in MODELS.items()
    ),
    claims=(
        Claim(
            "gcn-internal",
            says="GCN mainly improves the internal region: by more than the boundary region",
            where="4.1.1 (3); 5",
            quote="our GCN model mainly improves the accuracy in internal region",
            contrasts=(
                exceeds(INTERNAL["GCN"], INTERNAL["Baseline"]),
                gains_more((INTERNAL["Baseline"], INTERNAL["GCN"]), (BOUNDARY["Baseline"], BOUNDARY["GCN"])),
            ),
        ),
        Claim(
            "gcn-boundary-minor",
            says="the effect of GCN in the boundary region is minor (under half a point)",
            where="4.1.1 (3)",
            quote="while the effect in boundary region is minor",
            contrasts=(equivalent(BOUNDARY["GCN"], BOUNDARY["Baseline"], MINOR),),
        ),
        Claim(
            "br-boundary",
            says="BR mainly improves the boundary region: by more than the internal region",
            where="1; 4.1.1 (3); 5",
            quote="BF mainly improves the accuracy in boundary region",
            contrasts=(
                exceeds(BOUNDARY["GCN + BR"], BOUNDARY["GCN"]),
                gains_more((BOUNDARY["GCN"], BOUNDARY["GCN + BR"]), (INTERNAL["GCN"], INTERNAL["GCN + BR"])),
            ),
        ),
        Claim(
            "br-internal-minor",
            says='BR "mainly" helps elsewhere: its effect in the internal region is minor (under half a point)',
            where="4.1.1 (3)",
            quote="In contrary to GCN structure, BF mainly improves the accuracy in boundary region",
            contrasts=(equivalent(INTERNAL["GCN + BR"], INTERNAL["GCN"], MINOR),),
        ),
        Claim(
            "br-improves",
            says="boundary refinement improves the result further",
            where="1; 4.1.1 (3)",
            quote="a Boundary Refinement block is introduced which can further improve the localization performance",
            contrasts=(exceeds(OVERALL["GCN + BR"], OVERALL["GCN"]),),
        ),
    ),
)
