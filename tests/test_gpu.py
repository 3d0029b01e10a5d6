"""The same steps on a CPU and on a GPU; skipped where torch sees no CUDA device."""

from __future__ import annotations

import copy
import itertools
import json
import warnings
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from repro import models
from repro.config.experiment import Source
from repro.config.machine import Machine, gpus
from repro.config.networks import GCN, Model
from repro.data import load
from repro.data.cache import open_store
from repro.data.gpu_loader import Ahead, Resident, SideStream, fits
from repro.data.loader import Batches, eval_images
from repro.data.normalise import normalise
from repro.evaluation import receptive_field as vrf
from repro.evaluation import regions
from repro.evaluation.confusion import class_counts
from repro.evaluation.evaluator import Tally, evaluate_images
from repro.evaluation.predictor import Predictor
from repro.models import build
from repro.models import norm as norm_module
from repro.models.norm import BatchNorm, synchronise
from repro.models.numerics import full_float32, repeatable
from repro.runner.launchers import Local
from repro.training import trainer
from repro.training.distributed import open_fabric, share_memory
from repro.training.loss import loss_function
from repro.training.step import EagerStep
from tests.support import norms
from tests.support.short_runs import differences, execute, job, place, record

STEPS = 20
SIDE = 64
ROUNDING = {"32": 1e-4, "bf16": 2e-2, "64": 1e-9}
"""Relative difference of the losses and of the first gradient that the order of additions may bring.

In float32 and bf16 it holds for ``FEW`` steps: rounding grows, and from the fourth step of AdamW at 1e-3 on two
correct CPU runs differ by 3e-3. In float64 it holds for ``STEPS``. Through norms that train, gradients in bf16 are not
compared: those of two layouts of a CPU differ by 8 %.
"""
FEW = 3
CHANNELS_LAST, DEFAULT = torch.channels_last, torch.contiguous_format
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")


@dataclass(frozen=True)
class Trained:
    """A short training."""

    losses: list[float]
    """Of every step."""
    gradient: Tensor
    """Of all parameters at the first step, in float64 on the CPU."""
    weights: dict[str, Tensor]
    """At the end, on the CPU."""
    graph: str


def losses(folder: Path) -> list[float]:
    """Return the logged losses of a training."""
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def batch(step: int) -> tuple[Tensor, Tensor]:
    """Return a batch whose labels can be read from its colours, with some void."""
    generator = torch.Generator().manual_seed(step)
    labels = torch.randint(0, 6, (8, SIDE // 8, SIDE // 8), generator=generator)
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    images = torch.stack([labels % 2, labels % 3, labels // 3], 1) - 1.0
    images += 0.3 * torch.randn(images.shape, generator=generator)
    labels[:, :5] = 255
    return images, labels.to(torch.uint8)


def trained(
    folder: Path,
    device: str,
    precision: str,
    *,
    steps: int = 0,
    layout: torch.memory_format = CHANNELS_LAST,
    frozen: bool = False,
    optimizer: str = "adamw",
    **words: bool,
) -> Trained:
    """Train the laptop profile's network for a few steps, in float64 for more."""
    run = job(steps or (STEPS if precision == "64" else FEW)).run
    run = replace(run, recipe=replace(run.recipe, optimizer=optimizer, clip=1.0, lr=1e-4, schedule="fixed"))  # type: ignore[arg-type]
    repeatable()
    dtype = torch.float64 if precision == "64" else torch.float32
    fabric = open_fabric(Machine(device=device, precision="bf16" if precision == "bf16" else "32"))  # type: ignore[arg-type]

    def placed(step: int) -> tuple[Tensor, Tensor]:
        images, labels = batch(step)
        return images.to(fabric.device, dtype).contiguous(memory_format=layout), labels.to(fabric.device)

    torch.manual_seed(0)
    net = models.build(run.model, 6, head_std=0.0).to(dtype=dtype, memory_format=layout)
    if frozen:
        models.freeze_bn(net.backbone)
    twin = copy.deepcopy(net).to(fabric.device).train()
    images, labels = placed(0)
    with fabric.autocast():
        logits = twin(images)
    loss_function(run)(logits, labels).backward()
    gradient = torch.cat([p.grad.double().cpu().flatten() for p in twin.parameters() if p.grad is not None])
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "LOG_EVERY", 1)
        outcome = trainer.train(run, net, placed, fabric, folder, checkpoint_seconds=float("inf"), **words)  # type: ignore[arg-type]
    return Trained(losses(folder), gradient, {n: v.cpu() for n, v in net.state_dict().items()}, outcome.graph)


def agree(one: Trained, other: Trained, precision: str, *, frozen: bool = False) -> None:
    """Assert that two trainings are the same up to rounding."""
    assert other.losses == pytest.approx(one.losses, rel=ROUNDING[precision])
    if frozen or precision != "bf16":
        assert float((other.gradient - one.gradient).norm() / one.gradient.norm()) < ROUNDING[precision]


def equal(one: Trained, other: Trained) -> None:
    """Assert that two trainings are the same bits."""
    assert other.losses == one.losses
    assert torch.equal(other.gradient, one.gradient)
    assert all(torch.equal(other.weights[name], value) for name, value in one.weights.items())


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("precision", ROUNDING)
def test_two_layouts_of_a_cpu_agree(tmp_path: Path, precision: str, frozen: bool) -> None:
    """The bounds of the tests below hold between two correct computations, and see twice as much."""
    one = trained(tmp_path / "one", "cpu", precision, frozen=frozen)
    agree(one, trained(tmp_path / "other", "cpu", precision, layout=DEFAULT, frozen=frozen), precision, frozen=frozen)
    assert len(one.losses) == (STEPS if precision == "64" else FEW)
    if precision == "64":
        assert one.losses[-1] < 0.95 * one.losses[0]
    wrong = [loss * (1 + 2 * ROUNDING[precision]) for loss in one.losses]
    with pytest.raises(AssertionError):
        agree(one, replace(one, losses=wrong), precision)
    if frozen or precision != "bf16":
        with pytest.raises(AssertionError):
            agree(one, replace(one, gradient=one.gradient * (1 + 2 * ROUNDING[precision])), precision, frozen=frozen)


@needs_gpu
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("precision", ROUNDING)
def test_steps_are_the_same_on_both_devices(tmp_path: Path, precision: str, frozen: bool) -> None:
    """Losses and the first gradient; with norms that train and with kept constants of frozen ones."""
    one = trained(tmp_path / "cpu", "cpu", precision, frozen=frozen)
    agree(one, trained(tmp_path / "cuda", "cuda", precision, frozen=frozen), precision, frozen=frozen)


@needs_gpu
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_captured_step_has_the_bits_of_an_eager_one(
    tmp_path: Path, precision: str, frozen: bool, optimizer: str
) -> None:
    """Losses of every step and the weights at the end: the graph does what the operations do, one by one."""
    found = {
        graph: trained(
            tmp_path / str(graph), "cuda", precision, steps=STEPS, frozen=frozen, optimizer=optimizer, graph=graph
        )
        for graph in (False, True)
    }
    assert found[True].graph == "captured"
    assert found[False].graph == "eager: --no-graph"
    equal(found[False], found[True])


@needs_gpu
def test_a_capture_that_fails_leaves_the_gpu_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that waits for the device cannot be captured: said, and the bits are those of an eager training."""
    eager = trained(tmp_path / "eager", "cuda", "32", steps=STEPS, graph=False)
    plain = EagerStep.__call__

    def waiting(self: EagerStep, images: Tensor, labels: Tensor) -> Tensor:
        loss = plain(self, images, labels)
        loss.item()
        return loss

    monkeypatch.setattr(EagerStep, "__call__", waiting)
    found = trained(tmp_path / "failed", "cuda", "32", steps=STEPS)
    assert found.graph.startswith("eager: the capture failed: ")
    equal(eager, found)
    monkeypatch.undo()
    assert trained(tmp_path / "again", "cuda", "32", steps=STEPS).graph == "captured"


@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_kept_constants_are_the_same_bits_on_a_gpu(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    """Output and gradients with scale and shift of frozen norms kept, and computed anew."""
    repeatable()
    net, x = norms.frozen().cuda(), torch.randn(2, 3, 64, 64, device="cuda")
    kept = [norms.one_step(net, x, dtype) for _ in range(2)]
    monkeypatch.setattr(norm_module, "_state", lambda _: None)
    expected = norms.one_step(net, x, dtype)
    assert all(norms.equal(found, expected) for found in kept)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
@pytest.mark.parametrize("classes", [6, 21])
def test_the_loss_repeats_without_a_warning(device: str, classes: int) -> None:
    """Maps of few classes and many, both layouts: torch knows no operation in it that may differ next time."""
    repeatable()
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, 96, 96, generator=generator)
    labels = torch.randint(0, classes, (2, 96, 96), generator=generator).to(device, torch.uint8)
    labels[:, :9] = 255
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for layout in (DEFAULT, CHANNELS_LAST):
            found = []
            for _ in range(2):
                leaf = logits.to(device).contiguous(memory_format=layout).requires_grad_()
                value = loss_function(job(3).run)(leaf, labels)
                found.append((value.detach(), *torch.autograd.grad(value, leaf)))
            assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


@needs_gpu
def test_norms_that_train_are_torchs_own_on_a_gpu() -> None:
    """Of one process they are plain batch norms: output, gradient and statistics."""
    torch.manual_seed(0)
    plain = BatchNorm(8).cuda()
    shared = copy.deepcopy(plain)
    synchronise(shared, "cuda")
    x = torch.randn(4, 8, 9, 9, device="cuda")
    found = []
    for norm in (plain, shared):
        leaf = x.clone().requires_grad_()
        y = norm(leaf)
        found.append([y.detach(), *torch.autograd.grad(y.square().sum(), leaf), *norm.state_dict().values()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@needs_gpu
def test_a_run_on_the_gpu_says_how_it_ran(tmp_path: Path, cache: Path) -> None:
    """Precision and the captured step are in the record."""
    task = job(STEPS)
    where = replace(place(tmp_path, cache), device="cuda", precision="bf16")
    assert execute(task, where).status == "ok"
    meta = json.loads((record(where, task) / "record.json").read_text(encoding="utf-8"))
    assert (meta["precision"], meta["graph"]) == ("bf16-mixed", "captured")


@needs_gpu
def test_float32_is_not_rounded_to_tf32() -> None:
    """A convolution in float32 has float32's error, far below TF32's 2^-11."""
    open_fabric(Machine(device="cuda", precision="32"))
    torch.manual_seed(0)
    x, weight = torch.randn(1, 256, 32, 32, device="cuda"), torch.randn(64, 256, 3, 3, device="cuda")
    exact = torch.nn.functional.conv2d(x.double(), weight.double())
    found = torch.nn.functional.conv2d(x, weight).double()
    assert ((found - exact).abs().max() / exact.abs().max()).item() < 1e-5


@needs_gpu
def test_the_same_seed_gives_the_same_bits_on_a_gpu(tmp_path: Path, cache: Path) -> None:
    """Twice the same training in float32: the same weights and counts."""
    task, folders = job(STEPS), []
    for name in ("one", "two"):
        where = replace(place(tmp_path / name, cache), device="cuda", precision="32")
        assert execute(task, where).status == "ok"
        folders.append(record(where, task))
    assert differences(*folders) == []


@needs_gpu
@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.7, 1.4)])
def test_batches_from_the_gpu_are_those_of_the_host(cache: Path, scale: tuple[float, float]) -> None:
    """Held there, scaled and cut there, made on a side stream ahead: byte for byte the host's."""
    device = torch.device("cuda", 0)
    store = open_store(load("shapes", "wide"), cache)
    batches = Batches((store,), Source("shapes", "wide", 96, 96, crop=True), 8, 0, flip_vertical=True, scale=scale)
    assert fits(batches, device)
    held = Resident(batches, device)
    for one, other in zip(held.batch(0), batches.draw(0), strict=True):
        assert torch.equal(one.cpu(), other)
    side = SideStream(held.ready, device)
    with Ahead(side.make, side.take, depth=3) as ahead:
        for step in range(20):
            images, labels = ahead(step)
            torch.randn(2000, 2000, device=device) @ torch.randn(2000, 2000, device=device)  # the training is busy
            expected, truth = batches.ready(step)
            assert torch.equal(labels.cpu(), truth)
            torch.testing.assert_close(images.cpu(), expected, rtol=1e-6, atol=1e-6)


@needs_gpu
def test_compiled_training_has_the_same_losses(tmp_path: Path) -> None:
    """Through torch.compile and captured as a graph."""
    one = trained(tmp_path / "plain", "cuda", "32")
    agree(one, trained(tmp_path / "compiled", "cuda", "32", compile_net=True), "32")


@needs_gpu
def test_counts_on_the_gpu_are_those_of_each_image() -> None:
    """The same label maps counted on the device and by NumPy: every number."""
    random, device = np.random.default_rng(0), torch.device("cuda", 0)
    tally, expected = Tally(12, device), []
    for count, h, w in ((5, 90, 120), (1, 33, 20), (7, 384, 480)):
        labels = np.kron(random.integers(0, 13, (count, -(-h // 9), -(-w // 9))), np.ones((9, 9), int))[:, :h, :w]
        labels = np.where(labels == 12, 255, labels).astype(np.uint8)
        pred = np.where(random.random(labels.shape) < 0.3, random.integers(0, 12, labels.shape), labels)
        pred = np.where(pred == 255, 3, pred).astype(np.uint8)
        places = np.stack([regions.region_codes(image, background=None) for image in labels])
        tally.add(labels, torch.from_numpy(pred).to(device), places)
        for one, guess, where in zip(labels, pred, places, strict=True):
            expected.append((class_counts(one, guess, 12), *regions.region_counts(one, guess, where)))
    for found, parts in zip(tally.counts().values(), zip(*expected, strict=True), strict=True):
        np.testing.assert_array_equal(found, np.array(parts))


@needs_gpu
def test_several_images_a_pass_have_the_counts_of_one_on_the_gpu(cache: Path) -> None:
    """In float32: a pixel of a thousand may fall to another class where the pass is wider."""
    full_float32()
    device, store = torch.device("cuda", 0), open_store(load("shapes", "val"), cache)
    torch.manual_seed(0)
    net = build(Model(GCN(7), backbone="small"), 6, head_std=0.1).to(device)
    predictor = Predictor(net, partial(normalise, mean=(0.5,) * 3, std=(0.2,) * 3), device=device)
    items = list(itertools.islice(eval_images(store), 40))
    several = evaluate_images(predictor, items, 6)
    one = [evaluate_images(predictor, [item], 6) for item in items]
    pixels = sum(labels.size for *_, labels in items)
    for name, counts in several.items():
        apart = np.abs(counts - np.concatenate([single[name] for single in one])).sum()
        assert apart <= 2 * pixels // 1000


@needs_gpu
def test_a_receptive_field_on_the_gpu_is_that_of_the_cpu() -> None:
    """A frozen batch norm is another operation there; the map is the same up to rounding."""
    full_float32()
    torch.manual_seed(0)
    net = build(Model(GCN(7), refine=True, backbone="small"), 6, head_std=0.1).eval()
    image = torch.randn(3, 64, 96)
    field = vrf.occlusion_map(net, image, (40, 30), stride=9)
    there = vrf.occlusion_map(net.to("cuda"), image.to("cuda"), (40, 30), stride=9, class_index=field.class_index)
    np.testing.assert_allclose(there.map, field.map, atol=1e-3 * np.abs(field.map).max())


@needs_gpu
def test_three_trainings_share_a_gpu(tmp_path: Path, cache: Path) -> None:
    """Three processes at a time on one device: the losses of one alone, and each record says with how many it was."""
    tasks = [job(STEPS, k=k) for k in (3, 5, 7)]
    shared, alone = (replace(place(tmp_path / name, cache), device="cuda") for name in ("shared", "alone"))
    ended = Local(3, shared, gpus()[:1]).run(tasks, frozenset(), lambda *_: None)
    assert [end.status for end in ended] == ["ok"] * 3
    for task in tasks:
        assert execute(task, alone).status == "ok"
        assert losses(record(shared, task)) == pytest.approx(losses(record(alone, task)), rel=1e-3)
        meta = json.loads((record(shared, task) / "record.json").read_text(encoding="utf-8"))
        assert meta["device_type"] == "cuda"
        assert meta["gpu"]["processes"] == 3
        assert 0 < meta["peak_gpu_memory_bytes"] < meta["gpu"]["memory_bytes"] / 3


@needs_gpu
def test_a_process_that_shares_a_gpu_gets_no_more_than_its_share() -> None:
    """Memory runs out at the share, not at the device's end; what was taken before stays usable."""
    device = torch.device("cuda", 0)
    total = torch.cuda.get_device_properties(device).total_memory
    try:
        share_memory(device, 8)
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(total // 8, dtype=torch.uint8, device=device)
        assert len(torch.empty(total // 16, dtype=torch.uint8, device=device)) == total // 16
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
