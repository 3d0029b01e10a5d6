"""Valid receptive fields: linear networks by hand, every network of the suite against the naive loop, then faults."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from repro.config.errors import VRFError
from repro.config.networks import GCN, Conv, Conv1x1, Model, Stack
from repro.evaluation import receptive_field as vrf
from repro.evaluation.receptive_field.ops import Taps
from repro.evaluation.receptive_field.trace import NORMS
from repro.models import build
from repro.models.blocks import GlobalConv, OneGemmGlobalConv

torch.set_num_threads(1)
Floats = NDArray[np.float32]


def naive(network: nn.Module, image: torch.Tensor, field: vrf.VRF, fill: float = 0.0) -> Floats:
    """The definition: one occluded image at a time, the network whole."""
    out = np.zeros(field.map.shape, np.float32)
    x, y = field.position
    with torch.no_grad():
        clean = network(image[None])[0, field.class_index, y, x]
        for i, j in np.ndindex(*out.shape):
            covered = image.clone()
            top, left = i * field.stride, j * field.stride
            covered[:, top : top + field.occluder, left : left + field.occluder] = fill
            out[i, j] = clean - network(covered[None])[0, field.class_index, y, x]
    return out


def lively(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter and statistic a value that matters: nothing at zero, nothing at one."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, 0, 0.1)
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, 0, 0.05)
    return network.eval()


def picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """An image of normalised noise, (3, h, w)."""
    return torch.randn(3, height, width, generator=torch.Generator().manual_seed(seed))


def test_linear_network_by_hand() -> None:
    """One 5 x 5 convolution, occluders of one pixel: the change is weight times pixel, and nothing outside 5 x 5."""
    network = nn.Conv2d(3, 2, 5, padding=2).eval()
    image = picture(12, 14)
    field = vrf.occlusion_map(network, image, (6, 1), occluder=1, stride=1, class_index=1)
    expected = np.zeros((12, 14), np.float32)
    expected[0:4, 4:9] = (network.weight[1, :, 1:] * image[:, 0:4, 4:9]).sum(0).detach().numpy()
    assert np.allclose(field.map, expected, atol=1e-6)
    assert not field.map[expected == 0].any()
    assert field.map.shape == (12, 14)


def test_grid_is_that_of_zhou() -> None:
    """Facts: 11 x 11 at stride 3 makes 72 x 72 occluders at 224 and 168 x 168 at 512."""
    network = nn.Conv2d(3, 2, 1).eval()
    assert vrf.occlusion_map(network, picture(224, 224), (5, 5)).map.shape == (72, 72)
    assert vrf.occlusion_map(network, picture(22, 512), (5, 5)).map.shape == (4, 168)


def test_predicted_class_is_watched() -> None:
    """Without a class, the one with the highest score at the position; the score is the clean one."""
    network, image = lively(build(Model(Conv1x1(), backbone="small"), 6)), picture(40, 40)
    field = vrf.occlusion_map(network, image, (3, 30), stride=9)
    with torch.no_grad():
        scores = network(image[None])[0, :, 30, 3]
    assert field.class_index == int(scores.argmax())
    assert field.score == pytest.approx(float(scores.max()), rel=1e-5)


NETWORKS = [
    Model(GCN(7), refine=True, backbone="small"),
    Model(GCN((3, 5, 7, 15)), backbone="small"),
    Model(Conv1x1(), refine=True, backbone="small", stride_in="conv2"),
    Model(Conv(5), backbone="small", deconv="fixed"),
    Model(Stack(7, 1024), refine=True, backbone="small"),
    Model(GCN(5), refine=True, backbone="small_gcn"),
    Model(GCN(5), backbone="small_gcn", branches="sum"),
]


@pytest.mark.parametrize("model", NETWORKS, ids=str)
@pytest.mark.parametrize("at", [(0, 0), (44, 30), (50, 66)])
def test_map_equals_naive_loop(model: Model, at: tuple[int, int]) -> None:
    """Every head, block and option; a size that no stride divides; corners and middle; float64."""
    network, image = lively(build(model, 5, head_std=0.0)).double(), picture(67, 51).double()
    field = vrf.occlusion_map(network, image, at, occluder=9, stride=11, fill=0.5)
    expected = naive(network, image, field, fill=0.5)
    assert np.abs(expected).max() > 0.01
    assert np.abs(field.map - expected).max() <= 2e-7 * np.abs(expected).max()


@pytest.mark.parametrize("model", NETWORKS, ids=str)
def test_float32_is_as_near_to_the_truth_as_the_naive_loop(model: Model) -> None:
    """The type of the suite: both ways lie within 1e-5 of the largest change from the naive loop in float64.

    A change is a small difference of two large scores, so the rounding of float32 decides how near two maps can be.
    """
    network, image = lively(build(model, 5, head_std=0.0)), picture(67, 51)
    field = vrf.occlusion_map(network, image, (20, 40), stride=7)
    loop = naive(network, image, field)
    truth = naive(network.double(), image.double(), field)
    ours, theirs = (np.abs(found - truth).max() / np.abs(truth).max() for found in (field.map, loop))
    assert theirs <= 1e-5
    assert ours <= 1e-5
    assert ours <= max(3 * theirs, 5e-6)


@pytest.mark.parametrize("model", [Model(GCN(7), True, "resnet50"), Model(GCN(3), True, "resnet50_gcn")], ids=str)
def test_map_of_the_papers_backbones(model: Model) -> None:
    """ResNet-50 and ResNet50-GCN in float64, where no rounding of 50 layers hides a wrong cell."""
    network, image = lively(build(model, 5, head_std=0.0)).double(), picture(65, 70).double()
    field = vrf.occlusion_map(network, image, (33, 60), occluder=21, stride=21)
    expected = naive(network, image, field)
    assert np.abs(field.map - expected).max() <= 2e-7 * np.abs(expected).max()


class Op(nn.Module):
    """A network of one convolution and one batch norm, called by the names that torch gives them on some device."""

    def __init__(self, convolution: str, norm: str) -> None:
        """Take the names."""
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, stride=1, padding=(2, 1), dilation=(2, 1)), nn.BatchNorm2d(4)
        self.up = nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1, bias=False)
        self.names = convolution, norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, 3, h, w) to (n, 2, 2 h, 2 w) and back by every second cell."""
        conv, norm, up = self.conv, self.norm, self.up
        named = {"weight": conv.weight, "stride": conv.stride, "padding": conv.padding, "groups": 1}
        named |= {"dilation": conv.dilation}
        x = call(self.names[0], x, bias=conv.bias, transposed=False, output_padding=[0, 0], **named)
        named = {"weight": norm.weight, "bias": norm.bias, "running_mean": norm.running_mean}
        x = call(
            self.names[1], x, running_var=norm.running_var, training=False, eps=norm.eps, epsilon=norm.eps, **named
        )
        name = f"{self.names[0]}_transpose" if "n_conv" in self.names[0] else self.names[0]
        named = {"weight": up.weight, "stride": up.stride, "padding": up.padding, "dilation": up.dilation, "groups": 1}
        return call(name, torch.relu(x), bias=None, transposed=True, output_padding=[0, 0], **named)


def call(name: str, x: torch.Tensor, **named: Any) -> torch.Tensor:
    """Call an operation by its schema: of the arguments it takes those that it has; the rest have no effect here."""
    op = getattr(torch.ops.aten, name).default
    spare = {"momentum": 0.1, "exponential_average_factor": 0.1, "cudnn_enabled": True}
    args = [(spare | named).get(argument.name, False) for argument in op._schema.arguments[1:]]
    out = op(x, *args)
    return out if isinstance(out, torch.Tensor) else out[0]


@pytest.fixture
def kernels() -> Iterator[None]:
    """Give CPU kernels to operations that only CUDA and ROCm have."""
    functional = nn.functional

    def conv(x: Any, weight: Any, padding: Any, stride: Any, dilation: Any, groups: int, *_: Any) -> torch.Tensor:
        return functional.conv2d(x, weight, None, stride, padding, dilation, groups)

    def conv_with_bias(x: Any, weight: Any, bias: Any, *args: Any) -> torch.Tensor:
        return conv(x, weight, *args) + (0 if bias is None else bias[:, None, None])

    def up(
        x: Any, weight: Any, padding: Any, more: Any, stride: Any, dilation: Any, groups: int, *_: Any
    ) -> torch.Tensor:
        return functional.conv_transpose2d(x, weight, None, stride, padding, more, groups, dilation)

    def norm(x: Any, weight: Any, bias: Any, mean: Any, var: Any, *args: Any) -> tuple[torch.Tensor, ...]:
        empty = x.new_empty(0)
        return functional.batch_norm(x, mean, var, weight, bias, training=False, eps=args[-1]), empty, empty

    library = torch.library.Library("aten", "IMPL")
    library.impl("cudnn_convolution", conv, "CPU")
    library.impl("miopen_convolution", conv_with_bias, "CPU")
    library.impl("cudnn_convolution_transpose", up, "CPU")
    library.impl("miopen_convolution_transpose", lambda x, weight, _, *args: up(x, weight, *args), "CPU")
    library.impl("cudnn_batch_norm", lambda *args: (*norm(*args), args[0].new_empty(0)), "CPU")
    library.impl("miopen_batch_norm", norm, "CPU")
    yield
    library._destroy()


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("convolution", ["convolution", "_convolution", "cudnn_convolution", "miopen_convolution"])
@pytest.mark.parametrize("norm", NORMS)
def test_operations_of_other_devices_are_known(convolution: str, norm: str) -> None:
    """A CUDA device calls a frozen batch norm cudnn_batch_norm: the same map under every name, as the naive loop's."""
    network, image = lively(Op(convolution, norm)), picture(13, 11)
    field = vrf.occlusion_map(network, image, (6, 5), occluder=3, stride=2)
    np.testing.assert_allclose(field.map, naive(network, image, field), atol=1e-5)
    assert field.map.any()


def test_a_batch_norm_of_the_batch_is_refused() -> None:
    """A functional one has no module that could be in training mode."""

    class Trained(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.batch_norm(x, None, None, training=True)

    with pytest.raises(VRFError, match="training mode"):
        vrf.occlusion_map(Trained().eval(), picture(12, 12), (5, 5))


def test_one_product_heads_are_seen_through() -> None:
    """A head computed as one matrix product has the field of its four convolutions; the network is left as it was."""
    network, image = lively(build(Model(GCN(7), backbone="small"), 5, head_std=0.0)), picture(48, 48)
    expected = vrf.occlusion_map(network, image, (20, 20), stride=9).map
    for module in network.modules():
        if isinstance(module, GlobalConv):
            module.__class__ = OneGemmGlobalConv
    assert np.allclose(vrf.occlusion_map(network, image, (20, 20), stride=9).map, expected, atol=1e-6)
    assert sum(isinstance(module, OneGemmGlobalConv) for module in network.modules()) == 4


@settings(max_examples=300, deadline=None)
@given(
    extent=st.integers(1, 6), stride=st.integers(1, 4), padding=st.integers(-3, 4),
    lo=st.integers(-5, 20), length=st.integers(1, 9),
)  # fmt: skip
def test_spans_by_search(extent: int, stride: int, padding: int, lo: int, length: int) -> None:
    """What a span reads and what it reaches, by trying every cell."""
    taps, span = Taps(extent, stride, padding), (lo, lo + length)
    read = {o * stride - padding + k for o in range(*span) for k in range(extent)}
    assert taps.gather(span) == (min(read), max(read) + 1)
    reached = {o for o in range(-60, 90) if any(lo <= o * stride - padding + k < lo + length for k in range(extent))}
    first, end = taps.scatter(span)
    assert set(range(first, end)) == reached


def test_area_and_mask_by_hand() -> None:
    """Changes of either sign count; 0.2 of the largest is the default; a cell stands for stride squared pixels."""
    changes = np.array([[1.0, -0.2, 0.1], [0.0, -0.5, 0.19]], np.float32)
    field = vrf.VRF(changes, (0, 0), 0, 1.0, (14, 17), 11, 3)
    assert field.mask().tolist() == [[True, True, False], [False, True, False]]
    assert vrf.area(field) == 3 * 9
    assert vrf.area(field, 0.6) == 9
    assert vrf.area(vrf.VRF(changes * 0, (0, 0), 0, 1.0, (14, 17), 11, 3)) == 0


def test_pixels_pass_through_the_centres() -> None:
    """The picture of a map has its values at the occluders' centres, and a mean half-way."""
    changes = np.array([[1.0, -3.0], [5.0, 7.0]], np.float32)
    pixels = vrf.VRF(changes, (0, 0), 0, 1.0, (13, 14), 11, 2).pixels()
    assert pixels.shape == (13, 14)
    assert pixels[[5, 5, 7, 7, 6], [5, 7, 5, 7, 6]].tolist() == [1, 3, 5, 7, 4]
    assert (pixels[0, 0], pixels[12, 13]) == (1, 7)
    flat = vrf.VRF(changes[:1, :1], (0, 0), 0, 1.0, (11, 12), 11, 3).pixels()
    assert (flat == 1).all()


def test_gradient_of_a_linear_network() -> None:
    """The field is the size of the weights, shifted to the position."""
    network = nn.Conv2d(3, 1, 3, padding=1).eval()
    field = vrf.gradient_field(network, picture(9, 9), (4, 5))
    expected = np.zeros((9, 9), np.float32)
    expected[4:7, 3:6] = network.weight[0].abs().sum(0).detach().numpy()
    assert np.allclose(field, expected)


def test_agreement_with_itself_and_with_its_opposite() -> None:
    """Single pixels as occluders: a field agrees with its own changes wholly, and with the reverse not at all."""
    changes = np.arange(1, 36, dtype=np.float32).reshape(5, 7)
    field = vrf.VRF(changes, (0, 0), 0, 1.0, (5, 7), 1, 1)
    assert vrf.agreement(field, changes) == pytest.approx((1.0, 1.0))
    assert vrf.agreement(field, 36 - changes)[0] == pytest.approx(-1.0)
    rank, iou = vrf.agreement(field, np.zeros((5, 7), np.float32))
    assert math.isnan(rank)
    assert iou == 0.0


def test_ranks_of_what_rounding_made_are_one_rank() -> None:
    """Most of a map is what float32 makes of no change: other rounding (threads, processors) leaves the rank."""
    changes = np.zeros((20, 20), np.float32)
    changes[5:9, 5:9] = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
    gradient = changes[::-1].copy()
    rng = np.random.default_rng(0)

    def rank() -> float:
        noise = [(1e-5 * rng.random((20, 20))).astype(np.float32) for _ in range(2)]
        field = vrf.VRF(changes + noise[0], (0, 0), 0, 1.0, (20, 20), 1, 1)
        return vrf.agreement(field, gradient + noise[1])[0]

    clean = vrf.agreement(vrf.VRF(changes, (0, 0), 0, 1.0, (20, 20), 1, 1), gradient)[0]
    assert [rank() for _ in range(3)] == pytest.approx([clean] * 3, abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "at", "options", "says"),
    [
        ((3, 20, 30), (30, 0), {}, r"position \(30, 0\): outside the image, which has x 0..29 and y 0..19"),
        ((3, 20, 30), (0, -1), {}, "outside the image"),
        ((3, 20, 30), (0, 0), {"occluder": 10}, "odd side"),
        ((3, 20, 30), (0, 0), {"stride": 0}, "stride of 1 or more"),
        ((3, 8, 30), (0, 0), {}, "8 x 30 is smaller than the occluder"),
        ((1, 20, 30), (0, 0), {}, "float32 image"),
        ((3, 20, 30), (0, 0), {"class_index": 2}, "class 2 is outside the network's 2 classes"),
    ],
)
def test_bad_input_is_refused(shape: tuple[int, ...], at: tuple[int, int], options: Any, says: str) -> None:
    """One sentence that names the value and its limits."""
    with pytest.raises(VRFError, match=says):
        vrf.occlusion_map(nn.Conv2d(3, 2, 1).eval(), torch.zeros(shape), at, **options)


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (nn.Conv2d(3, 2, 1).train(), "call network.eval"),
        (nn.Conv2d(3, 2, 1).bfloat16().eval(), "float32"),
        (nn.Sequential(nn.Conv2d(3, 2, 1), nn.Softmax(1)).eval(), "_softmax"),
        (nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval(), "not supported"),
        (nn.MaxPool2d(3, ceil_mode=True).eval(), "rounding up"),
        (nn.ConvTranspose2d(3, 2, 1, stride=2).eval(), "smaller than its stride"),
    ],
)
def test_networks_without_windows_are_refused(network: nn.Module, says: str) -> None:
    """A network that the windows cannot follow is refused, never measured wrongly."""
    with pytest.raises(VRFError, match=says):
        vrf.occlusion_map(network, torch.zeros(3, 20, 20), (0, 0))


def test_threshold_and_foreign_gradient_are_refused() -> None:
    """A share outside (0, 1], and a gradient of another image."""
    field = vrf.VRF(np.ones((2, 2), np.float32), (0, 0), 0, 1.0, (4, 4), 1, 3)
    with pytest.raises(VRFError, match="threshold"):
        vrf.area(field, 0.0)
    with pytest.raises(VRFError, match="another image"):
        vrf.agreement(field, np.ones((5, 5), np.float32))
