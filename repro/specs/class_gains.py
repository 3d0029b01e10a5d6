"""Beside Table 5: what GCN and BR add to the IoU of each class."""

from repro.spec import GCN, Conv1x1, Figure, Model, Training

MODELS = (Model(Conv1x1()), Model(GCN(15)), Model(GCN(15), refine=True))

FIGURE = Figure(
    number=0,
    name="class_gains",
    title="IoU gained, class by class",
    draw="class_gains",
    trainings=tuple(Training(model) for model in MODELS),
)
