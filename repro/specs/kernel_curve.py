"""Beside Table 1: mIoU against k, printed and measured."""

from repro.spec import GCN, Conv1x1, Figure, Model, Training

FIGURE = Figure(
    number=0,
    name="kernel_curve",
    title="mIoU against the kernel size",
    draw="kernel_curve",
    trainings=(Training(Model(Conv1x1())), *(Training(Model(GCN(k))) for k in (3, 5, 7, 9, 11, 13, 15))),
)
