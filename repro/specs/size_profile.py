"""Beside Table 5: accuracy against the size of the object, for the baseline, GCN and GCN + BR."""

from repro.spec import GCN, Conv1x1, Figure, Model, Training

MODELS = (Model(Conv1x1()), Model(GCN(15)), Model(GCN(15), refine=True))

FIGURE = Figure(
    number=0,
    name="size_profile",
    title="Accuracy against the size of the object",
    draw="size_profile",
    trainings=tuple(Training(model) for model in MODELS),
)
