"""Counts in closed form, without torch: parameters of the heads, multiply-adds of the networks of Table 11."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from repro.config.errors import PaperError, SpecError
from repro.config.networks import PAPER_CHANNELS, Classifier, Convolution, Head, head_info
from repro.paper import printed as paper
from repro.paper.schema import Cost

NETWORKS = {"resnet50": "ResNet50", "resnet50_gcn": "ResNet50-GCN"}
"""Backbone -> its column in Table 11."""
STAGES = ("res-2", "res-3", "res-4", "res-5")
_LAYER = re.compile(r"(\d+) x (\d+), (\d+)")
_TIMES = re.compile(r"\[(.*)\] x (\d+)")


@dataclass(frozen=True)
class Layer(Convolution):
    """One convolution with the side of its (square) output."""

    side: int = 1

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return self.params * self.side**2


def layers(head: Head, in_channels: int, num_classes: int, side: int = 1) -> tuple[Layer, ...]:
    """Return the convolutions of a head (Figure 4) on a map of ``side x side`` cells."""
    head_info(head)
    found = head.normal().convolutions(in_channels, num_classes)
    return tuple(Layer(**vars(convolution), side=side) for convolution in found)


def head_params(head: Head, in_channels: int = PAPER_CHANNELS, num_classes: int = 21, *, bias: bool = False) -> int:
    """Return the parameters of a head; the paper counts them without biases."""
    return sum(layer.params + bias * layer.out_channels for layer in layers(head, in_channels, num_classes))


def _text(row: str, column: str) -> str:
    cell = paper.printed(11, row, column)
    if cell is None:
        msg = f"table 11: nothing is printed at row {row!r}, column {column!r}"
        raise PaperError(msg)
    return cell.text


def side(row: str) -> int:
    """Return the output side of a component in Table 11."""
    return int(_text(row, "Output Size").split(" x ")[0])


def block(row: str, column: str) -> tuple[list[list[tuple[int, int, int]]], int]:
    """Return the lines of a block of Table 11 as (height, width, channels), and its number of repetitions."""
    found = _TIMES.fullmatch(_text(row, column))
    if found is None:
        msg = f"table 11: row {row!r}, column {column!r} is no block: {_text(row, column)!r}"
        raise PaperError(msg)
    lines = [[(int(h), int(w), int(n)) for h, w, n in _LAYER.findall(line)] for line in found[1].split(";")]
    return lines, int(found[2])


def _block_layers(
    lines: list[list[tuple[int, int, int]]], c: int, sides: tuple[int, ...], joined: int
) -> Iterator[Layer]:
    """Yield a block's convolutions; ``sides``: of each line's output, ``joined``: number of concatenated branches."""
    widths = [c] * len(lines[0])
    for i, line in enumerate(lines):
        if len(line) < len(widths):
            widths = [widths[0] * joined]
        for j, (height, width, out) in enumerate(line):
            yield Layer(height, width, widths[j], out, side=sides[i])
            widths[j] = out


def network(classifier: Classifier) -> Iterator[tuple[str, Layer]]:
    """Yield the convolutions of Table 11 as (component, layer), shortcuts as ``"shortcut"``.

    A stage of another output size than the one before starts with a block of stride 2: in its first convolution,
    or in the ``3 x 3`` (``stride_in="conv2"``, bottlenecks only).
    """
    if classifier.backbone not in NETWORKS:
        msg = f"backbone {classifier.backbone!r}: Table 11 prints {' and '.join(NETWORKS)} only"
        raise SpecError(msg)
    column = NETWORKS[classifier.backbone]
    stem = _LAYER.search(_text("conv1", column))
    assert stem is not None
    c, before = int(stem[3]), side("res-2")
    yield "conv1", Layer(int(stem[1]), int(stem[2]), 3, c, side=side("conv1"))
    for row in STAGES:
        lines, times = block(row, column)
        out, here = lines[-1][-1][2], side(row)
        branches = len(lines[0])
        joined = branches if classifier.branches == "concat" else 1
        for n in range(times):
            late = n == 0 and classifier.stride_in == "conv2" and branches == 1
            sides = (before if late else here, here, here)
            for layer in _block_layers(lines, c, sides, joined):
                yield row, layer
            if n == 0:
                yield "shortcut", Layer(1, 1, c, out, side=here)
            c = out
        before = here


def conv_macs(classifier: Classifier) -> int:
    """Return the multiply-adds of all convolutions at the sizes of Table 11 ("MFlops (Conv)")."""
    return sum(layer.macs for _, layer in network(classifier))


def conv_params(classifier: Classifier) -> int:
    """Return the weights of all convolutions, without batch norms and the linear layer."""
    return sum(layer.params for _, layer in network(classifier))


def count(cost: Cost) -> int:
    """Return the value of a count cell, for a classifier of its convolutions only, at 224 x 224."""
    if isinstance(cost.of, Classifier):
        return conv_macs(cost.of) if cost.what == "macs" else conv_params(cost.of)
    found = layers(cost.of, cost.in_channels, cost.num_classes, -(-cost.size // 32))
    return sum(layer.macs if cost.what == "macs" else layer.params for layer in found)
