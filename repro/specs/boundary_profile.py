"""Beside Table 5: accuracy against the distance to the boundary, for the baseline, GCN and GCN + BR."""

from repro.spec import GCN, Conv1x1, Figure, Model, Training

MODELS = (Model(Conv1x1()), Model(GCN(15)), Model(GCN(15), refine=True))

FIGURE = Figure(
    number=0,
    name="boundary_profile",
    title="Accuracy against the distance to the boundary",
    draw="boundary_profile",
    trainings=tuple(Training(model) for model in MODELS),
)
