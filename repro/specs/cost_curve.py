"""Beside Table 2: parameters and multiply-adds of GCN, Conv and Stack against k, with the line of 2/k."""

from repro.spec import Figure

FIGURE = Figure(
    number=0,
    name="cost_curve",
    title="Cost against the kernel size",
    draw="cost_curve",
)
