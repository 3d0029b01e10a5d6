"""The same steps on a CPU and on a GPU; skipped where torch sees no CUDA device."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from short_runs import differences, execute, job, place, record

from repro import metrics, regions, vrf
from repro.data import load
from repro.data.ahead import Ahead
from repro.data.normalise import normalise
from repro.data.resident import Resident, fits
from repro.data.store import open_store
from repro.data.stream import SideStream
from repro.data.transforms import Batches, eval_images
from repro.devices import gpus
from repro.evaluate import Tally, evaluate_images
from repro.experiment import Source
from repro.fabric import full_float32, open_fabric, share_memory
from repro.launch import Local
from repro.machine import Machine
from repro.models import build
from repro.predictor import Predictor
from repro.spec import GCN, Model

STEPS = 20
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")


def losses(folder: Path) -> list[float]:
    """Return the logged losses of a record, means of ten steps each."""
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


@needs_gpu
def test_twenty_steps_have_the_same_losses_on_both_devices(tmp_path: Path, cache: Path) -> None:
    task = job(STEPS)
    curves = []
    for device in ("cpu", "cuda"):
        where = replace(place(tmp_path / device, cache), device=device)
        assert execute(task, where).status == "ok"
        curves.append(losses(record(where, task)))
    assert len(curves[0]) == STEPS // 10
    assert curves[1] == pytest.approx(curves[0], rel=1e-3)


@needs_gpu
def test_bfloat16_trains_on_the_gpu_and_says_so(tmp_path: Path, cache: Path) -> None:
    task = job(STEPS)
    where = replace(place(tmp_path, cache), device="cuda", precision="bf16")
    assert execute(task, where).status == "ok"
    assert json.loads((record(where, task) / "record.json").read_text(encoding="utf-8"))["precision"] == "bf16-mixed"


def test_a_curve_is_read_from_its_log(tmp_path: Path, cache: Path) -> None:
    task = job(STEPS)
    where = place(tmp_path, cache)
    assert execute(task, where).status == "ok"
    assert len(losses(record(where, task))) == STEPS // 10


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
def test_compiled_training_has_the_same_losses(tmp_path: Path, cache: Path) -> None:
    """Through torch.compile and captured as a graph."""
    task, curves = job(STEPS), []
    for compiled in (False, True):
        where = replace(place(tmp_path / str(compiled), cache), device="cuda", precision="32", compile=compiled)
        assert execute(task, where).status == "ok"
        curves.append(losses(record(where, task)))
    assert curves[1] == pytest.approx(curves[0], rel=1e-3)


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
        places = np.stack([regions.places(image, background=None) for image in labels])
        tally.add(labels, torch.from_numpy(pred).to(device), places)
        for one, guess, where in zip(labels, pred, places, strict=True):
            expected.append((metrics.class_counts(one, guess, 12), *regions.place_counts(one, guess, where)))
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
