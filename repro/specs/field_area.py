"""Beside Table 1 and Figure 3: the area of the valid receptive field against k, with the object's area."""

from repro.spec import GCN, Conv1x1, Figure, Model, Training

FIGURE = Figure(
    number=0,
    name="field_area",
    title="Area of the valid receptive field against the kernel size",
    draw="field_area",
    trainings=(Training(Model(Conv1x1())), *(Training(Model(GCN(k))) for k in (3, 5, 7, 9, 11, 13, 15))),
)
