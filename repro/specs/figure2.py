"""Figure 2: the whole pipeline with its sizes (A), GCN (B) and BR (C), read off the built network."""

from repro.spec import Figure

FIGURE = Figure(
    number=2,
    name="figure2",
    title="The whole pipeline, GCN and boundary refinement",
    draw="figure2",
)
