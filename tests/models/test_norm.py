"""Batch norms: folded into their convolution they change rounding alone; over a group of processes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from repro import models
from repro.config.networks import GCN, Model
from repro.models import norm as norm_module
from repro.models.architectures import ARCHITECTURES
from repro.models.blocks import GlobalConv, OneGemmGlobalConv
from repro.models.norm import BatchNorm, Chain, DeviceBatchNorm, GlobalBatchNorm, freeze_bn, normed, synchronise
from repro.models.resnet import ResNet
from tests.support.norms import equal, frozen, lively, one_step


def set_folds(net: nn.Module, *, folds: bool) -> nn.Module:
    """Let every batch norm of ``net`` be folded, or none."""
    for module in net.modules():
        if isinstance(module, BatchNorm):
            module.folds = folds
    return net


def both_ways(net: nn.Module, x: Tensor) -> list[list[Tensor]]:
    """Return outputs, gradient of x and of every parameter that trains: folded, then not."""
    found = []
    for folds in (True, False):
        set_folds(net, folds=folds).zero_grad(set_to_none=True)
        image = x.clone().requires_grad_()
        out = net(image)
        maps = list(out) if isinstance(out, tuple) else [out]
        sum((y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape)).mean() for y in maps).backward()
        assert image.grad is not None
        grads = [p.grad for p in net.parameters() if p.requires_grad]
        assert all(grad is not None for grad in grads)
        found.append([*(y.detach() for y in maps), image.grad, *(grad for grad in grads if grad is not None)])
    return found


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", ["small", "small_gcn"])
def test_frozen_backbone_is_the_same(name: str, dtype: torch.dtype, tolerance: float) -> None:
    """Frozen and in training mode: all maps and all gradients, each within ``tolerance`` of its largest value."""
    torch.manual_seed(0)
    net = lively(ResNet(ARCHITECTURES[name]).to(dtype))
    freeze_bn(net)
    folded, plain = both_ways(net.train(), torch.randn(2, 3, 32, 40, dtype=dtype))
    for one, other in zip(folded, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance * float(other.abs().max()))


def test_evaluation_is_the_same_for_norms_that_trained() -> None:
    """In evaluation mode the whole network, and the gradients of weights and biases of its norms."""
    torch.manual_seed(0)
    net = lively(models.build(Model(GCN(3), backbone="small"), 4, head_std=0.0).double()).eval()
    folded, plain = both_ways(net, torch.randn(1, 3, 32, 32, dtype=torch.float64))
    for one, other in zip(folded, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12 * float(other.abs().max()))


@pytest.mark.parametrize("norms_train", [False, True])
def test_lower_precision_rounds_the_product_once(norms_train: bool) -> None:
    """Weights times scale in float32, then bf16: the bits of torch's own casts, for output and every gradient."""
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 10, 3, padding=1, bias=False)
    norm = lively(BatchNorm(10)).eval().requires_grad_(norms_train)
    assert isinstance(norm, BatchNorm)
    images, grad = torch.randn(2, 6, 8, 9).bfloat16(), torch.randn(2, 10, 8, 9).bfloat16()
    assert norm.running_mean is not None
    assert norm.running_var is not None

    def expected(x: Tensor) -> Tensor:
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        weight = (conv.weight * scale[:, None, None, None]).bfloat16()
        return nn.functional.conv2d(x, weight, (norm.bias - norm.running_mean * scale).bfloat16(), padding=1)

    found = []
    for way in (lambda x: normed(conv, norm, x), expected):
        x = images.clone().requires_grad_()
        conv.zero_grad(), norm.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            y = way(x)
        y.backward(grad)
        kept = [p.grad.clone() for p in (*conv.parameters(), *norm.parameters()) if p.grad is not None]
        found.append([y.detach(), x.grad, *kept])
    assert len(found[0]) == (5 if norms_train else 3)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_norms_that_train_are_not_folded() -> None:
    """In training mode the statistics of the batch count, and they move."""
    net = ResNet(ARCHITECTURES["small"]).train()
    net(torch.randn(2, 3, 32, 32))
    assert net.bn1.running_mean is not None
    assert net.bn1.running_mean.abs().max() > 0


def test_state_dict_is_unchanged() -> None:
    """A chain has the names of ``nn.Sequential``; folding adds no tensor and moves none."""
    net = ResNet(ARCHITECTURES["small_gcn"])
    freeze_bn(net)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()(torch.randn(1, 3, 32, 32))
    after = net.state_dict()
    assert {"layer3.0.left.3.weight", "layer2.0.downsample.1.running_var"} <= after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_convolution_with_a_bias() -> None:
    """The bias is scaled with the weights."""
    torch.manual_seed(0)
    chain = lively(Chain(nn.Conv2d(3, 5, 3), BatchNorm(5), nn.ReLU(), BatchNorm(5)).double()).eval()
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    expected = chain[3](torch.relu(chain[1](chain[0](x))))  # type: ignore[index]
    torch.testing.assert_close(chain(x), expected, rtol=1e-12, atol=1e-12)


def test_bfloat16_is_rounded_once() -> None:
    """Under autocast the folded result is as near to float64 as the plain one, within a factor of 1.2."""
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(64, 32, 3, bias=False), BatchNorm(32)
    lively(norm).eval()
    x = torch.randn(2, 64, 12, 12)

    with torch.inference_mode():
        truth = copy.deepcopy(norm).double()(copy.deepcopy(conv).double()(x.double()))

    def error() -> float:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return float((normed(conv, norm, x).double() - truth).square().mean().sqrt())

    folded = error()
    norm.folds = False
    assert folded < 1.2 * error()


class Counter(TorchDispatchMode):
    """Counts operations that a device computes; a view of a tensor computes nothing."""

    def __init__(self) -> None:
        """Start at none."""
        super().__init__()
        self.found = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count one and do it."""
        self.found += not func.is_view
        return func(*args, **(kwargs or {}))


def never_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have scale and shift computed at every use, as for a norm that trains."""
    monkeypatch.setattr(norm_module, "_state", lambda _: None)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_kept_constants_are_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, layout: torch.memory_format
) -> None:
    """Output and all gradients with scale and shift kept, at the first use and the second, and computed anew."""
    net = frozen().to(memory_format=layout)
    x = torch.randn(2, 3, 64, 64).contiguous(memory_format=layout)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        net(x)  # what an evaluation keeps, a training uses
    first, second = one_step(net, x, dtype), one_step(net, x, dtype)
    never_kept(monkeypatch)
    expected = one_step(net, x, dtype)
    assert equal(first, expected)
    assert equal(second, expected)


def test_kept_constants_are_no_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    """ResNet-50 GCN k = 15 in bf16 as a GPU runs it: six operations a frozen norm less, a third of a step's."""
    monkeypatch.setattr(OneGemmGlobalConv, "forward", GlobalConv.forward)
    net = models.build(Model(GCN(15), backbone="resnet50"), 12).to(memory_format=torch.channels_last)
    freeze_bn(net)
    net.train()
    norms = sum(isinstance(module, BatchNorm) for module in net.modules())
    x = torch.randn(1, 3, 32, 32).contiguous(memory_format=torch.channels_last)

    def operations() -> tuple[int, int]:
        with Counter() as forward, torch.autocast("cpu", torch.bfloat16):
            y = net(x)
        with Counter() as backward:
            y.float().sum().backward()
        return forward.found, backward.found

    operations()
    kept = operations()
    never_kept(monkeypatch)
    anew = operations()
    assert anew[0] - kept[0] == 6 * norms == 318
    assert anew[0] == 593
    assert kept[0] + kept[1] < 0.67 * (anew[0] + anew[1])
    assert kept[1] == anew[1]


def _load(net: nn.Module) -> None:
    net.load_state_dict({name: value * 1.5 for name, value in net.state_dict().items()})


def _assign(net: nn.Module) -> None:
    net.load_state_dict({name: value * 1.5 for name, value in net.state_dict().items()}, assign=True)
    freeze_bn(net)


def _write(net: nn.Module, name: str) -> None:
    with torch.no_grad():
        for norm in (module for module in net.modules() if isinstance(module, BatchNorm)):
            getattr(norm, name).mul_(1.5)


def _exchange(net: nn.Module) -> None:
    for norm in (module for module in net.modules() if isinstance(module, BatchNorm)):
        norm.weight.data = norm.weight.data * 1.5


def _beside(net: nn.Module) -> None:
    for norm in (module for module in net.modules() if isinstance(module, BatchNorm)):
        norm.running_mean.data.add_(1.0)
    net.train()


@pytest.mark.parametrize(("change", "moves"), [
    (_load, True), (_assign, True), (_exchange, True), (_beside, True),
    *((partial(_write, name=name), True) for name in ("weight", "bias", "running_mean", "running_var")),
    (lambda net: net.to(torch.bfloat16).float(), True), (lambda net: net.double().float(), False),
])  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_change_is_seen(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[nn.Module], object], moves: bool, dtype: torch.dtype
) -> None:
    """Loaded, written to in place, exchanged, moved: the next step has the bits of scale and shift computed anew."""
    net, x = frozen(), torch.randn(1, 3, 32, 32)
    before = one_step(net, x, dtype)
    change(net)
    after = one_step(net, x, dtype)
    never_kept(monkeypatch)
    assert equal(after, one_step(net, x, dtype))
    assert equal(before[:1], after[:1]) != moves


def test_thawed_norms_learn_and_move() -> None:
    """After a norm was kept and is thawed, its weight has a gradient and its statistics move."""
    net, x = frozen(), torch.randn(2, 3, 32, 32)
    one_step(net, x, torch.float32)
    norms = [module for module in net.modules() if isinstance(module, BatchNorm)]
    for norm in norms:
        norm.frozen = False
        norm.requires_grad_(requires_grad=True)
    one_step(net, x, torch.float32)  # still in evaluation mode: the weights train
    assert all(norm.weight.grad is not None and norm.weight.grad.abs().max() > 0 for norm in norms[:1])
    before = [norm.running_mean.clone() for norm in norms if norm.running_mean is not None]
    net.train()(x)
    assert all(not torch.equal(norm.running_mean, old) for norm, old in zip(norms, before, strict=True))


def test_what_is_kept_is_part_of_nothing_that_is_stored() -> None:
    """State dicts, copies and pickles hold weights and statistics alone; a copy lives on its own."""
    net, x = frozen(), torch.randn(1, 3, 32, 32)
    names, size = list(net.state_dict()), len(pickle.dumps(net))
    before = one_step(net, x, torch.bfloat16)
    norms = [module for module in net.modules() if isinstance(module, BatchNorm)]
    assert all(norm._kept is not None for norm in norms)
    net.zero_grad(set_to_none=True)
    assert list(net.state_dict()) == names
    assert len(pickle.dumps(net)) == size
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):  # noqa: S301 - made here
        assert all(module._kept is None for module in twin.modules() if isinstance(module, BatchNorm))
        assert equal(one_step(twin, x, torch.bfloat16), before)
        _write(twin, "weight")
        assert not equal(one_step(twin, x, torch.bfloat16)[:1], before[:1])
        assert equal(one_step(net, x, torch.bfloat16), before)


def test_inference_tensors_are_never_kept() -> None:
    """A network made under inference mode has no versions to go by."""
    with torch.inference_mode():
        net = frozen()
        before = net(torch.ones(1, 3, 32, 32))
        _write(net, "weight")
        assert not torch.equal(net(torch.ones(1, 3, 32, 32)), before)
    assert all(module._kept is None for module in net.modules() if isinstance(module, BatchNorm))


def test_a_traced_network_leaves_nothing_behind() -> None:
    """Compiled whole, under a function transform and with fake tensors: right, and the network is as it was."""
    net, x = frozen(), torch.randn(1, 3, 32, 32)
    expected = one_step(net, x, torch.float32)
    torch._dynamo.reset()
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    for found, right in zip(one_step(compiled, x, torch.float32), expected, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-5 * float(right.abs().max()))
    parameters = {name: value.detach() for name, value in net.named_parameters()}
    gradient = torch.func.grad(lambda values: torch.func.functional_call(net, values, (x,)).sum())(parameters)
    assert gradient["backbone.bn1.weight"].abs().max() > 0
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert isinstance(net(x), FakeTensor)
    assert equal(one_step(net, x, torch.float32), expected)


def test_norms_that_train_see_the_global_batch_by_the_devices_own_form() -> None:
    """Frozen ones stay; the state dict is the same in every form, and so is evaluation."""
    torch.manual_seed(0)
    nets = [models.build(Model(GCN(3), backbone="small"), 4) for _ in range(3)]
    for net in nets:
        net.load_state_dict(nets[0].state_dict())
        freeze_bn(net.backbone.layer1)
    synchronise(nets[1], "cpu")
    synchronise(nets[2], "cuda")
    kinds = [{type(module) for module in net.modules() if isinstance(module, BatchNorm)} for net in nets]
    assert kinds == [{BatchNorm}, {BatchNorm, GlobalBatchNorm}, {BatchNorm, DeviceBatchNorm}]
    assert type(nets[2].backbone.bn1).forward is torch.nn.SyncBatchNorm.forward
    x = torch.randn(1, 3, 32, 32)
    expected, *others = [net.eval()(x) for net in nets]
    assert all(torch.equal(found, expected) for found in others)
    for one in nets:
        for other in nets:
            assert one.load_state_dict(other.state_dict()).missing_keys == []
    alone = nets[2].train()(torch.randn(2, 3, 32, 32))  # one process: torch's own form is a plain batch norm
    assert torch.isfinite(alone).all()
    assert nets[2].backbone.bn1.num_batches_tracked == 1
