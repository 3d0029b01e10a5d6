"""Figure 5: the bottleneck of ResNet and the GCN block of ResNet-GCN."""

from repro.spec import Figure

FIGURE = Figure(
    number=5,
    name="figure5",
    title="Bottleneck and ResNet-GCN block",
    draw="figure5",
)
