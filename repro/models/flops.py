"""Parameters and multiply-adds of modules on torch's meta device: no memory is allocated, no arithmetic done.

Convention: one multiply-add counts as one; torch's counter counts two operations, so its numbers are halved.
Convolutions, deconvolutions and matrix products are counted; additions, biases, normalisation and pooling are not.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from repro.config.networks import Classifier, Head, Model
from repro.models.heads import build_head
from repro.models.network import ClassifierNet, build
from repro.models.norm import BatchNorm
from repro.models.resnet import Bottleneck, GCNBlock
from repro.paper.schema import Cost

_ATEN = torch.ops.aten
_IDLE = {_ATEN.empty, _ATEN.empty_like, _ATEN.empty_strided, _ATEN.new_empty, _ATEN.detach, _ATEN._unsafe_view}  # noqa: SLF001 - torch's name of an operation
"""Operations that launch no work."""
_DRAWS = {torch.Tensor.normal_, torch.Tensor.uniform_}

Macs = dict[Literal["conv", "matmul"], int]
Counter = Callable[[Callable[[], nn.Module], tuple[int, ...]], Macs]


def torch_macs(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> Macs:
    """Count a module's multiply-adds on an input of ``shape`` by torch's own formulas, on the meta device.

    ``make`` builds the module; it is called under the meta device, so it allocates nothing.
    """
    net = _without_norms(_made(make)).eval()
    with torch.no_grad(), _Operations() as operations:
        net(torch.empty(shape, device="meta"))
    return {"conv": operations.flops["conv"] // 2, "matmul": operations.flops["matmul"] // 2}


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums torch's formulas over the operations that run, without the per-module counts of ``FlopCounterMode``."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops: Macs = {"conv": 0, "matmul": 0}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - torch's own signature
        out = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        if packet in flop_registry:
            kind: Literal["conv", "matmul"] = "conv" if packet is torch.ops.aten.convolution else "matmul"
            self.flops[kind] += flop_registry[packet](*args, **(kwargs or {}), out_val=out)
        return out


class _Launches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that launch work."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - torch's own signature
        self.count += int(not func.is_view and func.overloadpacket not in _IDLE)
        return func(*args, **(kwargs or {}))


class _Undrawn(TorchFunctionMode):
    """Skips random initialisation, which is slow and without effect on the meta device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - torch's own signature
        return args[0] if func in _DRAWS else func(*args, **(kwargs or {}))


def _made(make: Callable[[], nn.Module]) -> nn.Module:
    """Build a module on the meta device."""
    with torch.device("meta"), _Undrawn():
        return make()


def _without_norms(module: nn.Module) -> nn.Module:
    """Replace every batch norm by the identity: it is not counted, keeps the shape, and is slow on the meta device."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, BatchNorm):
                setattr(parent, name, nn.Identity())
    return module


def fvcore_macs(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> Macs:
    """Count by fvcore, an independent implementation, on real tensors (it fails on the meta device)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fvcore uses deprecated parts of torch
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(make().eval(), torch.zeros(shape))
        analysis.unsupported_ops_warnings(enabled=False).uncalled_modules_warnings(enabled=False)
        found: dict[str, Any] = analysis.by_operator()
    return {"conv": int(found["conv"]), "matmul": int(sum(found[op] for op in ("linear", "addmm", "matmul", "mm")))}


def head_params(head: Head, in_channels: int, num_classes: int) -> int:
    """Return the parameters of one head (Tables 2 and 4: 2048 channels, 21 classes)."""
    return _params(lambda: build_head(head, in_channels, num_classes))


def head_macs(head: Head, in_channels: int, num_classes: int, h: int, w: int, counter: Counter = torch_macs) -> int:
    """Return the multiply-adds of one head on a map of ``h x w`` cells."""
    return sum(counter(lambda: build_head(head, in_channels, num_classes), (1, in_channels, h, w)).values())


def network_params(model: Model | Classifier, num_classes: int) -> int:
    """Return the parameters of a whole network, with its backbone."""
    return _params(lambda: build(model, num_classes))


def network_macs(model: Model | Classifier, num_classes: int, h: int, w: int, counter: Counter = torch_macs) -> int:
    """Return the multiply-adds of a whole network on one image of ``h x w`` pixels."""
    return sum(counter(lambda: build(model, num_classes), (1, 3, h, w)).values())


def network_operations(model: Model | Classifier, num_classes: int, h: int, w: int) -> int:
    """Return the number of operations that one forward pass launches: convolutions, norms, activations, sums, pooling.

    Views and allocations are not counted; a batch norm is one operation, as with cached scale and shift. The number
    depends on neither batch nor image size.
    """
    net = _made(lambda: build(model, num_classes)).eval()
    launches = _Launches()
    with torch.no_grad(), launches:
        net(torch.empty((1, 3, h, w), device="meta"))
    return launches.count


def classifier_conv_macs(classifier: Classifier, size: int = 224, counter: Counter = torch_macs) -> int:
    """Return the multiply-adds of the convolutions alone on ``size x size`` pixels: "MFlops (Conv)" of Table 11."""
    return counter(lambda: build(classifier, 1), (1, 3, size, size))["conv"]


def classifier_conv_params(classifier: Classifier) -> int:
    """Return the weights of the convolutions alone, without batch norms and the linear layer."""
    net = _made(lambda: build(classifier, 1))
    return sum(m.weight.numel() for m in net.modules() if isinstance(m, nn.Conv2d))


@cache
def measure(cost: Cost, counter: Counter = torch_macs) -> int:
    """Return the value of a count cell.

    A head's multiply-adds are counted on res-5's map of a ``size x size`` image, at stride 32.
    """
    if isinstance(cost.of, Classifier):
        if cost.what == "params":
            return classifier_conv_params(cost.of)
        return classifier_conv_macs(cost.of, cost.size, counter)
    if cost.what == "params":
        return head_params(cost.of, cost.in_channels, cost.num_classes)
    side = -(-cost.size // 32)
    return head_macs(cost.of, cost.in_channels, cost.num_classes, side, side, counter)


def _params(make: Callable[[], nn.Module]) -> int:
    return sum(parameter.numel() for parameter in _made(make).parameters())


@cache
def layout(classifier: Classifier, size: int = 224, num_classes: int = 1000) -> tuple[tuple[str, str, str], ...]:
    """Return Table 11 as (component, output size, description), taken from the built modules.

    The softmax in the last row belongs to the loss, not to the module.
    """
    net = _without_norms(_made(lambda: build(classifier, num_classes))).eval()
    assert isinstance(net, ClassifierNet)
    backbone = net.backbone
    with torch.no_grad():
        conv1 = backbone.conv1(torch.empty(1, 3, size, size, device="meta"))
        pool = backbone.maxpool
        x = pool(conv1)
        rows = [
            ("conv1", _side(conv1), f"{_conv(backbone.conv1)}, stride {backbone.conv1.stride[0]}"),
            ("pool", _side(x), f"{pool.kernel_size} x {pool.kernel_size} max pool, stride {pool.stride}"),
        ]
        for name, stage in backbone.stages.items():
            x = stage(x)
            rows.append((name.replace("res", "res-"), _side(x), _stage(stage)))
    rows.append(("ImageNet Classifier", "1 x 1", f"global average pool, {net.fc.out_features}-d fc, softmax"))
    return tuple(rows)


def _side(x: torch.Tensor) -> str:
    return f"{x.shape[-2]} x {x.shape[-1]}"


def _conv(module: nn.Module) -> str:
    assert isinstance(module, nn.Conv2d)
    return f"{module.kernel_size[0]} x {module.kernel_size[1]}, {module.out_channels}"


def _stage(stage: nn.Module) -> str:
    """Describe the blocks of a stage, which differ in their stride only."""
    texts = {_block(block) for block in stage.children()}
    assert len(texts) == 1, texts
    return f"[{texts.pop()}] x {len(list(stage.children()))}"


def _block(block: nn.Module) -> str:
    if isinstance(block, Bottleneck):
        return "; ".join(_conv(module) for module in (block.conv1, block.conv2, block.conv3))
    assert isinstance(block, GCNBlock)
    lines = [f"({_conv(block.left[i])}) ({_conv(block.right[i])})" for i in (0, 3)]
    return "; ".join([*lines, _conv(block.conv3)])
