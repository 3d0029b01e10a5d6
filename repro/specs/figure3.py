"""Figure 3: valid receptive fields of the baseline, of the baseline on an enlarged object, and of GCN."""

from repro.spec import GCN, Conv1x1, Figure, Model, Training

FIGURE = Figure(
    number=3,
    name="figure3",
    title="Valid receptive fields",
    draw="figure3",
    trainings=(Training(Model(Conv1x1())), Training(Model(GCN(15)))),
)
