"""Record a network's forward pass as steps, with batch norms and ReLUs fused into the convolutions."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from repro.config.errors import VRFError
from repro.evaluation.receptive_field.ops import Add, Concat, Conv, Deconv, MaxPool, Norm, Step, Taps
from repro.models.blocks import GlobalConv
from repro.models.norm import BatchNorm

Args = Mapping[str, Any]
"""Arguments of an operation by name, defaults included; their order differs between devices."""
Inputs = tuple[int, ...]


def record(network: nn.Module, image: Tensor) -> list[Step]:
    """Return the steps from an image (1, 3, h, w) to the logits; step 0 is the image, the last one the logits.

    Raises:
        VRFError: the network is in training mode, is not float32, or has an unsupported operation.
    """
    if any(module.training for module in network.modules()):
        msg = "valid receptive field: the network is in training mode; call network.eval() first"
        raise VRFError(msg)
    kinds = {p.dtype for p in network.parameters()} or {image.dtype}
    if kinds != {image.dtype} or image.dtype not in (torch.float32, torch.float64):
        names = " and ".join(sorted(map(str, kinds)))
        msg = f"valid receptive field: needs network and image in float32 (smaller types hide the changes), got {names}"
        raise VRFError(msg)
    recorder = _Recorder(image)
    with torch.no_grad(), recorder:
        logits = _plain(network)(image)
    last = recorder.where.get(id(logits))
    if last is None or logits.dim() != image.dim():
        msg = "valid receptive field: the network must map images (n, 3, h, w) to score maps (n, c, h, w)"
        raise VRFError(msg)
    return _fuse(recorder.steps[: last + 1])


def _plain(network: nn.Module) -> nn.Module:
    """Return a copy, with shared weights, whose GCN are four convolutions and whose batch norms are not folded."""
    shared = {id(tensor): tensor for tensor in [*network.parameters(), *network.buffers()]}
    network = copy.deepcopy(network, shared)
    for module in network.modules():
        if isinstance(module, GlobalConv):
            module.__class__ = GlobalConv
        elif isinstance(module, BatchNorm):
            module.folds = False  # _join does it in float64
    return network


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch's class is untyped
    """Records every operation on tensors that depend on the image."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from importing its compiler for this class, which takes seconds."""
        return False

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[Step] = [Step((), size=(image.shape[2], image.shape[3]))]
        self.where = {id(image): 0}
        self.kept: list[Any] = [image]  # an id is unique only while its tensor exists

    def __torch_dispatch__(  # torch's own protocol, any types
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Run the operation, and record it where an input depends on the image."""
        shapes = [tuple(leaf.shape) for leaf in tree_leaves(args) if id(leaf) in self.where]
        inputs = tuple(self.where[id(leaf)] for leaf in tree_leaves(args) if id(leaf) in self.where)
        out = func(*args, **(kwargs or {}))
        if inputs:
            name = func.overloadpacket.__name__
            if name not in _READERS or (
                (name.startswith("add") and len(set(shapes)) != 1) or len(inputs) < len(shapes)
            ):
                msg = f"valid receptive field: the operation {name} on shapes {shapes} is not supported"
                raise VRFError(msg)
            first = out[0] if isinstance(out, tuple | list) else out
            step = _READERS[name](inputs, _named(func, args, kwargs or {}))
            self.steps.append(replace(step, size=(first.shape[2], first.shape[3])))
            self.where[id(first)] = len(self.steps) - 1
            self.kept.append(out)
        return out


def _named(func: Any, args: tuple[Any, ...], options: Mapping[str, Any]) -> Args:  # noqa: ANN401 - an operation of torch
    """Return all arguments of a call by name, defaults included."""
    schema = func._schema.arguments  # noqa: SLF001 - torch has no public name for it
    given = {argument.name: value for argument, value in zip(schema, args, strict=False)}
    return {argument.name: argument.default_value for argument in schema} | given | dict(options)


def _convolution(inputs: Inputs, args: Args, *, transposed: bool | None = None) -> Step:
    weight, bias = args["weight"], args.get("bias")
    stride, padding, dilation = args["stride"], args["padding"], args["dilation"]
    transposed = args["transposed"] if transposed is None else transposed
    taps = _taps(weight.shape[2:], stride, padding, dilation)
    if transposed and any(tap.extent < tap.stride for tap in taps):
        msg = "valid receptive field: a deconvolution with a kernel smaller than its stride is not supported"
        raise VRFError(msg)
    kind = Deconv if transposed else Conv
    weight = weight.contiguous(memory_format=torch.channels_last)
    return kind(
        inputs, taps, weight=weight, bias=bias, stride=tuple(stride), dilation=tuple(dilation), groups=args["groups"]
    )


def _taps(
    size: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> tuple[Taps, Taps]:
    rows, columns = (Taps((size[i] - 1) * dilation[i] + 1, stride[i], padding[i]) for i in (0, 1))
    return rows, columns


def _max_pool(inputs: Inputs, args: Args) -> Step:
    kernel, padding = args["kernel_size"], args["padding"]
    stride = args["stride"] or kernel
    if any(side != 1 for side in _pair(args["dilation"])) or args["ceil_mode"]:
        msg = "valid receptive field: a max pool with dilation or rounding up is not supported"
        raise VRFError(msg)
    kernel, stride, padding = (_pair(sides) for sides in (kernel, stride, padding))
    taps = _taps(kernel, stride, padding, (1, 1))
    return MaxPool(inputs, taps, kernel=kernel, stride=stride)


def _pair(sides: Any) -> tuple[int, ...]:  # noqa: ANN401 - a number or a list of one or two, as torch stores a default
    """Expand a single number to height and width."""
    both = tuple(sides) if isinstance(sides, list | tuple) else (sides,)
    return both * (2 // len(both))


def _batch_norm(inputs: Inputs, args: Args) -> Step:
    if args.get("training"):
        msg = "valid receptive field: the network is in training mode; call network.eval() first"
        raise VRFError(msg)
    epsilon = args["epsilon"] if "epsilon" in args else args["eps"]
    mean, variance = args["running_mean"], args["running_var"]
    deviation = torch.sqrt(variance.double() + epsilon)
    scale = 1 / deviation if args["weight"] is None else args["weight"].double() / deviation
    shift = -mean * scale if args["bias"] is None else args["bias"] - mean * scale
    return Norm(inputs, scale=scale[:, None, None], shift=shift[:, None, None])


def _pad(inputs: Inputs, args: Args) -> Step:
    left, _, top, _ = [*args["pad"], 0, 0][:4]
    return Step(inputs, (Taps(padding=top), Taps(padding=left)), fill=float(args["value"]))


def _slice(inputs: Inputs, args: Args) -> Step:
    taps = [Taps(), Taps()]
    taps[args["dim"] % 4 - 2] = Taps(padding=-(args["start"] or 0))
    return Step(inputs, (taps[0], taps[1]))


CONVOLUTIONS = ("cudnn_convolution", "miopen_convolution", "mkldnn_convolution")
"""Device-specific names; ``convolution`` is the general one, transposed too."""
DECONVOLUTIONS = ("cudnn_convolution_transpose", "miopen_convolution_transpose")
NORMS = (
    "native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training", "_batch_norm_no_update",
)  # fmt: skip
"""Names by device and version of torch; the first output of each is the normalised map."""
_READERS: dict[str, Callable[[Inputs, Args], Step]] = {
    **dict.fromkeys(("convolution", "_convolution"), _convolution),
    **dict.fromkeys(CONVOLUTIONS, partial(_convolution, transposed=False)),
    **dict.fromkeys(DECONVOLUTIONS, partial(_convolution, transposed=True)),
    **dict.fromkeys(NORMS, _batch_norm),
    "max_pool2d_with_indices": _max_pool,
    "constant_pad_nd": _pad,
    "slice": _slice,
    "cat": lambda inputs, _: Concat(inputs),
    **dict.fromkeys(("add", "add_"), lambda inputs, args: Add(inputs, alpha=args["alpha"])),
    **dict.fromkeys(("relu", "relu_"), lambda inputs, _: Step(inputs, relu=True)),
    **dict.fromkeys(("alias", "detach", "clone"), lambda inputs, _: Step(inputs)),
}


def _fuse(steps: list[Step]) -> list[Step]:
    """Fuse each batch norm and ReLU into the step before it, where no other step reads that one."""
    readers = Counter(i for step in steps for i in step.inputs)
    fused: list[Step] = []
    place: dict[int, int] = {}
    for number, step in enumerate(steps):
        inputs = tuple(place[i] for i in step.inputs)
        alone = len(inputs) == 1 and readers[step.inputs[0]] == 1 and number < len(steps) - 1
        joined = _join(fused[inputs[0]], step) if alone else None
        if joined is None:
            fused.append(replace(step, inputs=inputs))
            place[number] = len(fused) - 1
        else:
            fused[inputs[0]] = joined
            place[number] = inputs[0]
    return fused


def _join(before: Step, step: Step) -> Step | None:
    """Return the fusion of two consecutive steps, or ``None``."""
    if type(step) is Step and step.relu and before.inputs:
        return replace(before, relu=True)
    if isinstance(step, Norm) and isinstance(before, Conv) and not before.relu and before.groups == 1:
        shape = [1, 1, 1, 1]
        shape[before.channels_axis] = -1
        scale, shift = step.scale.flatten(), step.shift.flatten()
        bias = shift if before.bias is None else before.bias * scale + shift
        weight = before.weight * scale.view(shape)  # rounded once, from float64
        return replace(before, weight=weight.to(before.weight.dtype), bias=bias.to(before.weight.dtype))
    return None
