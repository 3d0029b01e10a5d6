"""Beside Table 2: the loss of GCN and of the plain convolution at large k, whether it converges."""

from repro.spec import GCN, Conv, Figure, Model, Training

FIGURE = Figure(
    number=0,
    name="training_curves",
    title="Training at large kernel sizes",
    draw="training_curves",
    trainings=tuple(Training(Model(head(k))) for k in (7, 9) for head in (GCN, Conv)),
)
