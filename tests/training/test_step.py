"""A captured step: what runs for real, what is held, what goes back to eager; on a device that records and replays."""

from __future__ import annotations

import copy
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from repro.config import profiles
from repro.config.experiment import Run, Training
from repro.config.machine import Machine
from repro.config.networks import GCN, Model
from repro.training import step, trainer
from repro.training.distributed import open_fabric
from repro.training.optimizer import LearningRates, OptimizerState, build_optimizer
from repro.training.signals import Interrupted
from repro.training.step import WARM_STEPS, EagerStep, GraphStep, training_step

STEPS = 24


class Recorder:
    """Records calls as a GPU does: nothing is done at the capture, a replay writes to the tensor that was returned."""

    def __init__(self, refuses: str = "") -> None:
        """Refuse captures with a sentence, where one is given."""
        self.refuses, self.aside_calls, self.captures, self.replays = refuses, 0, 0, 0

    def aside(self, call: Callable[[], Tensor]) -> Tensor:
        """Do the call."""
        self.aside_calls += 1
        return call()

    def capture(self, call: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        """Keep the call."""
        self.captures += 1
        if self.refuses:
            raise RuntimeError("the end of the capture failed") from RuntimeError(f"{self.refuses}\nwith advice")
        result = torch.full((), torch.nan)

        def replay() -> None:
            self.replays += 1
            result.copy_(call())

        return replay, result


@pytest.fixture(scope="module")
def run() -> Run:
    """A short run of the laptop profile; its rates rise and fall."""
    found = profiles.get("shapes", steps=STEPS).resolve(Training(Model(GCN(3))))
    assert found is not None
    return found


def _batch(number: int, size: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(number)
    images = torch.randn(size, 3, 12, 12, generator=generator).contiguous(memory_format=torch.channels_last)
    return images, torch.randint(0, 6, (size, 12, 12), generator=generator).to(torch.uint8)


def _network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 1)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def _fabric() -> Fabric:
    return open_fabric(Machine(device="cpu", precision="32"))


def _single(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have rates rounded to float32 as on a GPU, in eager steps too."""
    made = LearningRates.__init__

    def rounded(self: LearningRates, *words: Any) -> None:
        made(self, *words)
        self.single = True

    monkeypatch.setattr(LearningRates, "__init__", rounded)


def _recorded(monkeypatch: pytest.MonkeyPatch, graphs: Recorder) -> None:
    """Have trainings capture their steps by ``graphs``."""
    monkeypatch.setattr(trainer, "training_step", lambda eager, rates, **_: GraphStep(eager, rates, graphs))


def _trained(run: Run, work: Path, batch: Any = _batch, seconds: float = 1e9) -> tuple[nn.Module, trainer.Outcome]:
    work.mkdir(exist_ok=True)
    net = _network()
    return net, trainer.train(run, net, batch, _fabric(), work, checkpoint_seconds=seconds)


def _same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def _lines(work: Path) -> list[tuple[int, float, float]]:
    lines = map(json.loads, (work / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [(line["step"], line["loss"], line["lr"]) for line in lines]


def _recipe(run: Run, optimizer: str) -> Run:
    changed = replace(run.recipe, optimizer=optimizer, clip=0.5, bias_lr=2.0, bias_decay=False)  # type: ignore[arg-type]
    return replace(run, recipe=changed)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_replayed_steps_are_the_eager_ones(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    """Weights, losses and rates of every line; the first steps for real, one capture, the rest replayed."""
    run, graphs = _recipe(run, optimizer), Recorder()
    _single(monkeypatch)
    eager, plain = _trained(run, tmp_path / "eager")
    _recorded(monkeypatch, graphs)
    captured, outcome = _trained(run, tmp_path / "captured")
    assert (graphs.aside_calls, graphs.captures, graphs.replays) == (WARM_STEPS, 1, STEPS - WARM_STEPS)
    assert (plain.graph, outcome.graph) == ("eager: on a CPU", "captured")
    assert outcome.final_loss == plain.final_loss is not None
    assert _same(eager, captured)
    assert _lines(tmp_path / "captured") == _lines(tmp_path / "eager")


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("stop_at", [1, 11])
def test_a_checkpoint_goes_from_captured_to_eager_and_back(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str, stop_at: int
) -> None:
    """Stopped in one form, taken up in the other: the bits of one that was never stopped; the file holds numbers."""
    run = _recipe(run, optimizer)
    _single(monkeypatch)
    whole, _ = _trained(run, tmp_path / "whole")
    eager = training_step

    def stopping(number: int) -> tuple[Tensor, Tensor]:
        if number == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return _batch(number)

    for first in ("captured", "eager"):
        work = tmp_path / first
        for form in (first, {"captured": "eager", "eager": "captured"}[first]):
            graphs = Recorder()
            if form == "captured":
                _recorded(monkeypatch, graphs)
            else:
                monkeypatch.setattr(trainer, "training_step", eager)
            if form == first:
                with pytest.raises(Interrupted):
                    _trained(run, work, stopping)
                (file,) = work.glob("checkpoint-*.pt")
                payload = work / "payload"
                payload.write_bytes(file.read_bytes()[32:])
                groups = torch.load(payload, weights_only=True)["optimizer"]["param_groups"]
                assert {type(group["lr"]) for group in groups} == {float}
                assert not any(group.get("capturable") for group in groups)
            else:
                resumed, _ = _trained(run, work)
        assert _same(whole, resumed)


def test_a_capture_that_fails_is_said_and_goes_on_eagerly(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first cause is in the outcome; the step that could not be captured is done, once."""
    _single(monkeypatch)
    eager, _ = _trained(run, tmp_path / "eager")
    graphs = Recorder("operation not permitted when stream is capturing")
    _recorded(monkeypatch, graphs)
    net, outcome = _trained(run, tmp_path / "failed")
    assert outcome.graph == "eager: the capture failed: operation not permitted when stream is capturing"
    assert (graphs.aside_calls, graphs.captures, graphs.replays) == (WARM_STEPS, 1, 0)
    assert _same(eager, net)


def test_batches_of_another_shape_end_the_graph(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A last batch that is smaller is neither cut nor spread over the held one."""

    def uneven(number: int) -> tuple[Tensor, Tensor]:
        return _batch(number, 1 if number == 12 else 2)

    _single(monkeypatch)
    eager, _ = _trained(run, tmp_path / "eager", uneven)
    _recorded(monkeypatch, Recorder())
    net, outcome = _trained(run, tmp_path / "captured", uneven)
    assert outcome.graph == "eager: batches differ in shape"
    assert _same(eager, net)


def test_a_training_shorter_than_the_warm_up_says_so(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps are all for real."""
    graphs = Recorder()
    _recorded(monkeypatch, graphs)
    _, outcome = _trained(replace(run, steps=WARM_STEPS), tmp_path / "short")
    assert outcome.graph == "eager: fewer than 4 steps"
    assert graphs.captures == 0


def test_a_loss_that_is_not_finite_is_found_among_replays(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses are read ten steps later: each must be a tensor of its own."""

    def spoilt(number: int) -> tuple[Tensor, Tensor]:
        images, labels = _batch(number)
        return images * (torch.nan if number >= 13 else 1.0), labels

    _single(monkeypatch)
    outcomes = []
    for name in ("eager", "captured"):
        outcomes.append(_trained(run, tmp_path / name, spoilt)[1])
        _recorded(monkeypatch, Recorder())
    assert (outcomes[1].status, outcomes[1].diverged_at) == ("diverged", 14)
    assert outcomes[1].last_finite_loss == outcomes[0].last_finite_loss is not None


def test_a_graph_gives_its_memory_back(run: Run) -> None:
    """After the training neither gradients nor the held batch are there; the graph is let go."""
    fabric, net = _fabric(), _network().train()
    optimizer = build_optimizer(net, run.recipe)
    model, wrapped = fabric.setup(net, optimizer)
    rates = LearningRates(optimizer, run.recipe, STEPS, fabric.device)
    held = GraphStep(EagerStep(model, lambda y, t: y.mean() + 0 * t.sum(), wrapped, fabric, 0.0), rates, Recorder())
    for number in range(5):
        rates.set(number)
        held(*_batch(number))
    assert {type(group["lr"]) for group in optimizer.param_groups} == {Tensor}
    assert all(group["capturable"] for group in optimizer.param_groups)
    held.close()
    assert (held._batch, held._replay, held._loss) == (None, None, None)
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_rates_on_a_device_are_the_rates(run: Run, optimizer: str) -> None:
    """As tensors and back: values, types; what is stored is the same in both forms; a GPU's rates fit float32."""
    run, net = _recipe(run, optimizer), _network()
    made = build_optimizer(net, run.recipe)
    plain = LearningRates(made, run.recipe, STEPS, torch.device("cpu"))
    exact = plain.set(7)
    assert exact == made.param_groups[0]["lr"]
    plain.single = True
    assert plain.set(7) == exact
    numbers, stored = [group["lr"] for group in made.param_groups], OptimizerState(made).state_dict()
    assert len(set(numbers)) > 1
    assert numbers == torch.tensor(numbers, dtype=torch.float32).tolist()
    before = copy.deepcopy(stored)
    plain.on_device()
    held = [group["lr"] for group in made.param_groups]
    plain.set(9)
    plain.set(7)
    assert all(group["lr"] is tensor for group, tensor in zip(made.param_groups, held, strict=True))
    assert [tensor.item() for tensor in held] == numbers
    assert OptimizerState(made).state_dict() == before
    plain.on_host()
    assert [group["lr"] for group in made.param_groups] == numbers
    assert made.state_dict() == before


@pytest.mark.parametrize(
    ("device", "world", "graph", "compiled", "expected"),
    [
        ("cpu", 1, True, False, "eager: on a CPU"),
        ("cuda", 1, False, False, "eager: --no-graph"),
        ("cuda", 1, True, True, "eager: torch.compile makes its own graph"),
        ("cuda", 4, True, False, "eager: 4 processes"),
        ("cuda", 1, True, False, "eager: fewer than 4 steps"),
    ],
)
def test_where_a_step_is_captured(
    monkeypatch: pytest.MonkeyPatch, device: str, world: int, graph: bool, compiled: bool, expected: str
) -> None:
    """One process on a GPU; elsewhere the record says why not."""
    monkeypatch.setattr(step, "CudaGraphs", lambda _: Recorder())
    fabric = SimpleNamespace(device=torch.device(device), world_size=world)
    eager = EagerStep(nn.Identity(), lambda y, _: y, None, fabric, 0.0)
    found = training_step(eager, None, graph=graph, compiled=compiled)  # type: ignore[arg-type]
    assert found.about == expected
    assert isinstance(found, GraphStep) == (expected == "eager: fewer than 4 steps")
