"""Figure 1: a classification network, a conventional segmentation network and GCN, as shapes."""

from repro.spec import Figure

FIGURE = Figure(
    number=1,
    name="figure1",
    title="Classification, conventional segmentation, GCN",
    draw="figure1",
)
