"""A training step of the ResNet-50 GCN beside other libraries' networks, all in one process, turn by turn.

    python benchmarks/train_step.py [--size 256] [--batch 4] [--rounds 7] [--device cpu]

Forward, softmax loss over 21 classes, backward and an SGD step on random images. Ours has frozen batch norms, the loss
of ``loss`` and SGD in one pass, as its recipes for VOC and CamVid train it; ``norms train`` is the same network
without the freeze. The peers are as their libraries build them and take torch's cross entropy and SGD as torch makes
it; ``frozen`` has its batch norms in evaluation mode too. bf16 and channels-last where the processor multiplies bf16,
else float32; ``default`` is float32 in the default layout, and what a matrix product gains from bf16 is told beside it.
Rates: the forward's multiply-adds times six, over the time of a step; ``matrix product`` is the machine's own rate,
measured in the same turns. All of them profit from ``keep_memory``, which ours turns on. A peer that is not installed
is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module, util

import torch
from _rate import Product
from _sitting import Goal, arguments, compare, left_out, report, sized, take_turns
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from repro import models
from repro.config import profiles
from repro.config.experiment import Training
from repro.config.machine import cpu_has_bf16, keep_memory
from repro.config.networks import GCN, Model
from repro.models.norm import BatchNorm, freeze_bn
from repro.models.numerics import repeatable
from repro.training.loss import loss_function

CLASSES = 21
OURS, WIDE, PLAIN = "GCN k=7", "GCN k=15", "GCN k=7, float32, default"
PRODUCT, PRODUCT_32 = "matrix product", "matrix product, float32"
Loss = Callable[[Tensor, Tensor], Tensor]


def gcn(k: int, *, refine: bool = True) -> nn.Module:
    """Return the paper's network on a ResNet-50, in training mode."""
    return models.build(Model(GCN(k), refine=refine, backbone="resnet50"), CLASSES).train()


def frozen(net: nn.Module) -> nn.Module:
    """Return the network in training mode but for its batch norms, which no longer train."""
    net.train()
    for module in net.modules():
        if isinstance(module, BatchNorm):
            freeze_bn(module)
        elif isinstance(module, nn.BatchNorm2d):
            module.eval().requires_grad_(requires_grad=False)
    return net


def smp_fpn() -> nn.Module:
    """Return the feature pyramid network of segmentation_models_pytorch."""
    made: nn.Module = import_module("segmentation_models_pytorch").FPN(
        "resnet50", encoder_weights=None, classes=CLASSES
    )
    return made.train()


def torchvision_net(name: str) -> Callable[[], nn.Module]:
    """Return a maker of one of torchvision's segmentation networks, without weights and auxiliary loss."""

    def make() -> nn.Module:
        zoo = import_module("torchvision.models.segmentation")
        made: nn.Module = getattr(zoo, name)(weights=None, weights_backbone=None, num_classes=CLASSES)
        return made.train()

    return make


def mean_loss() -> Loss:
    """Return the loss of the recipe ``fast``: the mean over pixels that are not void."""
    run = profiles.get("camvid").resolve(Training(Model(GCN(7))))
    assert run is not None
    return loss_function(run)


def plain_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return torch's own loss, as the peers' users call it."""
    return nn.functional.cross_entropy(logits.float(), labels, ignore_index=255)


class Step:
    """One training step of a network; calling it does the step."""

    def __init__(self, net: nn.Module, images: Tensor, labels: Tensor, *, ours: bool, fast: bool) -> None:
        """Lay the network and the images out, and count the forward's floating-point operations."""
        layout = torch.channels_last if fast else torch.contiguous_format
        self.net, self.loss = net.to(images.device).to(memory_format=layout), mean_loss() if ours else plain_loss
        self.images, self.labels, self.fast = images.contiguous(memory_format=layout), labels, fast
        weights = [p for p in net.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(weights, lr=1e-4, momentum=0.9, fused=ours)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            self.net(self.images)
        self.operations = 3 * counter.get_total_flops()

    def _precision(self) -> AbstractContextManager[object]:
        if not self.fast or not (self.images.is_cuda or cpu_has_bf16()):
            return nullcontext()
        return torch.autocast(self.images.device.type, torch.bfloat16)

    def __call__(self) -> None:
        """Do one step and wait for it."""
        with self._precision():
            out = self.net(self.images)
        logits = out["out"] if isinstance(out, dict) else out
        loss = self.loss(logits, self.labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        loss.item()


def contestants(images: Tensor, labels: Tensor) -> dict[str, Step]:
    """Return the networks whose library is here."""
    smp = "segmentation_models_pytorch"
    makers: dict[str, tuple[str, Callable[[], nn.Module]]] = {
        OURS: ("repro", lambda: frozen(gcn(7))),
        "GCN k=7, norms train": ("repro", lambda: gcn(7)),
        WIDE: ("repro", lambda: frozen(gcn(15))),
        "smp FPN": (smp, smp_fpn),
        "smp FPN, frozen": (smp, lambda: frozen(smp_fpn())),
        "torchvision fcn": ("torchvision", torchvision_net("fcn_resnet50")),
        "torchvision deeplabv3": ("torchvision", torchvision_net("deeplabv3_resnet50")),
    }
    here = {name: make for name, (library, make) in makers.items() if util.find_spec(library)}
    for name in makers.keys() - here.keys():
        left_out(name, "its library is not installed")
    steps = {name: Step(make(), images, labels, ours=name.startswith("GCN"), fast=True) for name, make in here.items()}
    return steps | {PLAIN: Step(frozen(gcn(7)), images, labels, ours=True, fast=False)}


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__)
    parser.add_argument("--size", type=int, default=sized(256, 32))
    parser.add_argument("--batch", type=int, default=sized(4, 2))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    asked = parser.parse_args()
    keep_memory()
    repeatable()
    torch.manual_seed(0)
    images = torch.randn(asked.batch, 3, asked.size, asked.size, device=asked.device)
    labels = torch.randint(0, CLASSES, (asked.batch, asked.size, asked.size), device=asked.device)
    steps = contestants(images, labels)
    products = {PRODUCT: Product(asked.device), PRODUCT_32: Product(asked.device, fast=False)}
    turns = take_turns({**steps, **products}, asked.rounds)
    table = compare(turns, OURS)
    wide = compare(turns, WIDE)
    peak = products[PRODUCT].operations / table[PRODUCT]["ms"]
    gain = compare(turns, PRODUCT)[PRODUCT_32]["ratio"]
    goals = [
        Goal(
            f"training step, {ours}: {name}",
            found[name]["ratio"],
            goal,
            note=f"a matrix product gains {gain:.2f} x from bf16 here" if name == PLAIN else "",
        )
        for ours, found, name, goal in (
            (OURS, table, "smp FPN", 1.2),
            (WIDE, wide, "smp FPN", 0.95),
            (OURS, table, PLAIN, 2.5),
            (OURS, table, "torchvision fcn", 3.5),
            (OURS, table, "torchvision deeplabv3", 3.5),
        )
        if name in found
    ]
    share = steps[OURS].operations / table[OURS]["ms"] / peak
    report(
        "train_step",
        {
            f"training step, batch {asked.batch}, {asked.size} x {asked.size}, {asked.device}": table,
            f"the same beside {WIDE}": wide,
        },
        [*goals, Goal(f"training step, {OURS}: share of the matrix rate", share, 0.62, unit="")],
        threads=torch.get_num_threads(),
        bf16=asked.device == "cuda" or cpu_has_bf16(),
        gflop_per_image={name: round(step.operations / 3e9 / asked.batch, 1) for name, step in steps.items()},
        share_of_matrix_rate={
            name: round(step.operations / table[name]["ms"] / peak, 3) for name, step in steps.items()
        },
        loss="ours: repro.training.loss; peers: torch's cross entropy",
    )


if __name__ == "__main__":
    main()
