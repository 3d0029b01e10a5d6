"""Figure 6: images, the baseline, GCN, GCN + BR (the networks of Table 5) and the truth."""

from repro.spec import GCN, Conv1x1, Figure, Model, Training

MODELS = (Model(Conv1x1()), Model(GCN(15)), Model(GCN(15), refine=True))

FIGURE = Figure(
    number=6,
    name="figure6",
    title="Examples: image, baseline, GCN, GCN + BR, truth",
    draw="figure6",
    trainings=tuple(Training(model) for model in MODELS),
)
