"""What a device multiplies at most, measured: the rate that steps and evaluations are set against."""

from __future__ import annotations

import torch
from _sitting import sized

from repro.config.machine import cpu_has_bf16


class Product:
    """Square matrix products in bf16 where the device multiplies it, else in float32; a call does all and waits.

    A GPU needs large ones, and several between two waits: a single product of 2048 is as much waiting as work there
    and shows a third of the rate.
    """

    def __init__(self, device: str, *, fast: bool = True) -> None:
        """Make the matrices; ``fast`` asks for bf16."""
        cuda = torch.device(device).type == "cuda"
        kind = torch.bfloat16 if fast and (cuda or cpu_has_bf16()) else torch.float32
        self.side, self.count = sized((8192, 20) if cuda else (2048, 1), (64, 2))
        self.one, self.other = (torch.randn(self.side, self.side, device=device).to(kind) for _ in range(2))

    @property
    def operations(self) -> int:
        """Floating-point operations of a call."""
        return self.count * 2 * self.side**3

    def __call__(self) -> float:
        """Do the products; reading a number of the last waits for them."""
        for _ in range(self.count):
            found = self.one @ self.other
        return float(found[0, 0])
