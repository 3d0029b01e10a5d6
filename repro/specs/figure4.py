"""Figure 4: the four heads, GCN, 1 x 1, k x k and the stack of 3 x 3, with the shapes of their weights."""

from repro.spec import Figure

FIGURE = Figure(
    number=4,
    name="figure4",
    title="The four heads",
    draw="figure4",
)
