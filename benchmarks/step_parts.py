"""Where a training step of the ResNet-50 GCN goes: time, operations and rate of each of its parts, turn by turn.

    python benchmarks/step_parts.py [--k 7] [--size 256] [--batch 4] [--rounds 5] [--threads N]

The network as the recipes of VOC and CamVid train it on a CPU: frozen batch norms, channels last, bf16 where the
processor multiplies it. One step is run whole and every part's input is kept; then each part alone does its forward and
backward pass on that input. Operations are counted by torch (a multiply-add is two), forward and backward as they are
done; rates are set against a matrix product in the same turns. The parts add up to less than the step: casts between
precisions that autocast does once, and the accumulation of gradients where maps meet, belong to no part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from _rate import Product
from _sitting import Goal, arguments, compare, report, sized, take_turns
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from train_step import CLASSES, PRODUCT, frozen, gcn, mean_loss

from repro.config.machine import cpu_has_bf16, keep_memory
from repro.models.network import STAGES

Part = Callable[[], object]


def autocast() -> AbstractContextManager[object]:
    """Return bf16 where the processor multiplies it."""
    return torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bf16())


def named_parts(net: Any) -> dict[str, list[tuple[str, Callable[[Tensor], Tensor]]]]:  # noqa: ANN401 - Network, whose modules torch types as tensors
    """Return the callables of each part by the name of the module whose input they take."""
    parts = {"stem": [("backbone.conv1", net.backbone.stem)]}
    for number, name in enumerate(STAGES):
        parts[name] = [(f"backbone.layer{number + 1}", net.backbone.stages[name])]
    parts |= {f"head of {name}": [(f"head.{name}", net.head[name])] for name in STAGES}
    for name in STAGES:
        blocks = [f"refine_head.{name}", f"refine_sum.{name}", f"up.{name}"]
        there = [block for block in blocks if block in dict(net.named_modules())]
        parts[f"BR and deconv at {name}"] = [(block, net.get_submodule(block)) for block in there]
    for i, title in enumerate(("half", "full")):
        parts[f"deconv to {title} size"] = [(f"tail.{i}.0", net.tail[i][0])]
        parts[f"BR at {title} size"] = [(f"tail.{i}.1", net.tail[i][1])]
    return parts


def inputs_of(net: nn.Module, names: Iterable[str], images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return the input of every named module in one forward pass, and the logits."""
    kept: dict[str, Tensor] = {"backbone.conv1": images}

    def keeper(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            kept[name] = given[0].detach()

        return keep

    hooks = [net.get_submodule(name).register_forward_pre_hook(keeper(name)) for name in names if name not in kept]
    with torch.no_grad(), autocast():
        logits = net(images)
    for hook in hooks:
        hook.remove()
    return kept, logits


def both_passes(forward: Callable[[Tensor], Tensor], x: Tensor, *, leaf: bool) -> Part:
    """Return a call of one forward and one backward pass; the image (no ``leaf``) gets no gradient."""
    with torch.no_grad(), autocast():
        grad = torch.ones_like(forward(x))

    def call() -> None:
        with autocast():
            y = forward(x.detach().requires_grad_(leaf))
        y.backward(grad)

    return call


def chain(calls: list[Part]) -> Part:
    """Return one call of all."""

    def together() -> None:
        for call in calls:
            call()

    return together


def contestants(k: int, images: Tensor, labels: Tensor) -> dict[str, Part]:
    """Return the whole step and its parts."""
    net = frozen(gcn(k)).to(memory_format=torch.channels_last)
    loss = mean_loss()
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=1e-6, momentum=0.9, fused=True)

    def step() -> None:
        with autocast():
            logits = net(images)
        value = loss(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        value.item()

    step()
    parts = named_parts(net)
    kept, logits = inputs_of(net, [name for group in parts.values() for name, _ in group], images)
    calls: dict[str, Part] = {"step": step}
    for title, group in parts.items():
        calls[title] = chain([both_passes(call, kept[name], leaf=title != "stem") for name, call in group])

    def only_loss() -> None:
        loss(logits.detach().requires_grad_(), labels).backward()

    return calls | {"loss": only_loss, "optimiser": optimizer.step}


def operations(call: Part) -> int:
    """Return the floating-point operations of a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__)
    parser.add_argument("--k", type=int, default=7)
    parser.add_argument("--size", type=int, default=sized(256, 32))
    parser.add_argument("--batch", type=int, default=sized(4, 1))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    keep_memory()
    torch.manual_seed(0)
    images = torch.randn(asked.batch, 3, asked.size, asked.size).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (asked.batch, asked.size, asked.size))
    calls = contestants(asked.k, images, labels)
    done, product = {name: operations(call) for name, call in calls.items()}, Product("cpu")
    table = compare(take_turns({**calls, PRODUCT: product}, asked.rounds), "step")
    peak = product.operations / table[PRODUCT]["ms"]
    parts = [name for name in done if name != "step"]
    print(f"{'':28}{'of time':>9}{'of operations':>15}{'GFLOP':>9}{'of the matrix rate':>20}")
    shares = {
        name: {
            "of_time": round(table[name]["ratio"], 4),
            "of_operations": round(done[name] / done["step"], 4),
            "gflop": round(done[name] / 1e9, 2),
            "of_matrix_rate": round(done[name] / table[name]["ms"] / peak, 3),
        }
        for name in ["step", *parts]
    }
    for name, row in shares.items():
        print(
            f"{name:28}{row['of_time']:9.3f}{row['of_operations']:15.3f}{row['gflop']:9.2f}{row['of_matrix_rate']:20.3f}"
        )
    report(
        "step_parts",
        {f"training step, GCN k={asked.k}, batch {asked.batch}, {asked.size} x {asked.size}, cpu": table},
        [Goal(f"GCN k={asked.k}: share of the matrix rate", shares["step"]["of_matrix_rate"], 0.62, unit="")],
        threads=torch.get_num_threads(),
        bf16=cpu_has_bf16(),
        parts=shares,
    )


if __name__ == "__main__":
    main()
