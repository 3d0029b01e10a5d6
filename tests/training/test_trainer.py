"""Training: the same seed, the same bits, also after a stop; divergence is a result."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from repro.config.errors import CheckpointError
from repro.config.experiment import Run
from repro.config.machine import Machine
from repro.data.gpu_loader import Ahead
from repro.training import checkpoint
from repro.training.checkpoint import RandomStates, Spent
from repro.training.distributed import open_fabric
from repro.training.signals import Interrupted
from repro.training.trainer import Outcome, _agreed, train
from tests.support.short_runs import child, killed_after
from tests.support.train import network_of, random_batch

STEPS = 24


def _train(run: Run, work: Path, seed: int = 0, seconds: float = 1e9, **words: object) -> tuple[nn.Module, Outcome]:
    work.mkdir(exist_ok=True)
    net = network_of(run, seed)
    fabric = open_fabric(Machine(device="cpu", precision="32"))
    outcome = train(run, net, random_batch, fabric, work, checkpoint_seconds=seconds, **words)  # type: ignore[arg-type]
    return net, outcome


def _same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def _curve(work: Path) -> list[tuple[int, float, float]]:
    """Return step, loss and learning rate of every line of the log."""
    lines = map(json.loads, (work / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [(line["step"], line["loss"], line["lr"]) for line in lines]


def test_same_seed_same_weights_other_seed_other_weights(run: Run, tmp_path: Path) -> None:
    """Bit for bit, and the seed matters."""
    first, outcome = _train(run, tmp_path / "a")
    again, _ = _train(run, tmp_path / "b")
    other, _ = _train(run, tmp_path / "c", seed=1)
    assert outcome.status == "ok"
    assert outcome.steps == STEPS
    assert _same(first, again)
    assert not _same(first, other)


@pytest.mark.parametrize("stop_at", [1, 7, 20])
def test_a_stopped_run_resumes_to_the_same_bits(run: Run, tmp_path: Path, stop_at: int) -> None:
    """SIGTERM between two steps saves; the resumed run ends with weights and curve of one that was never stopped."""
    whole, undisturbed = _train(run, tmp_path / "whole")
    work = tmp_path / "stopped"
    work.mkdir()
    fabric = open_fabric(Machine(device="cpu", precision="32"))

    def stopping(step: int) -> tuple[Tensor, Tensor]:
        if step == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return random_batch(step)

    with pytest.raises(Interrupted):
        train(run, network_of(run), stopping, fabric, work)
    resumed, outcome = _train(run, work, seed=5)  # the start does not matter: the checkpoint has all of it
    assert outcome.status == "ok"
    assert outcome.final_loss == undisturbed.final_loss is not None
    assert _same(whole, resumed)
    assert _curve(work) == _curve(tmp_path / "whole")


def test_a_run_killed_after_its_last_step_still_knows_its_last_loss(run: Run, tmp_path: Path) -> None:
    """Resumed from the checkpoint of the last step, it trains no more; its outcome is that of the run before."""
    work = tmp_path / "work"
    _, first = _train(run, work, seconds=0.0)
    _, again = _train(run, work, seed=3)
    assert again.final_loss == first.final_loss is not None
    assert _curve(work)[-1][0] == again.steps == STEPS


def test_what_was_spent_goes_on_from_the_checkpoint(run: Run, tmp_path: Path) -> None:
    """Time of all processes is added up, the most memory of any kept; without a checkpoint a clock starts anew."""
    earlier = Spent()
    earlier.load_state_dict({"seconds_total": 1000.0, "cpu_seconds": 900.0, "peak_memory_bytes": 2**50})
    _train(run, tmp_path / "work", seconds=0.0, spent=earlier)
    later = Spent()
    assert later.state_dict()["seconds_total"] < 1000
    _train(run, tmp_path / "work", spent=later)
    (before, cpu_before, most), (after, cpu_after, still) = (x.state_dict().values() for x in (earlier, later))
    assert 1000 < after <= before + 60
    assert 900 < cpu_after <= cpu_before + 60
    assert most == still == 2**50


def test_batches_made_ahead_end_in_the_same_bits(run: Run, tmp_path: Path) -> None:
    """As on a GPU: stopped in the middle while the next batch is on its way, taken up again, the thread ended."""
    whole, _ = _train(run, tmp_path / "whole")
    work = tmp_path / "ahead"
    work.mkdir()
    fabric = open_fabric(Machine(device="cpu", precision="32"))

    def stopping(step: int) -> tuple[Tensor, Tensor]:
        if step == 9:
            os.kill(os.getpid(), signal.SIGTERM)
        return random_batch(step)

    with Ahead(stopping) as source, pytest.raises(Interrupted):
        train(run, network_of(run), source, fabric, work)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]
    net = network_of(run, seed=5)
    with Ahead(random_batch) as source:
        assert train(run, net, source, fabric, work).steps == STEPS
    assert _same(whole, net)


def test_compiling_is_for_training_alone(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is compiled where asked, before Fabric wraps it; weights end in the network that was given."""
    asked: list[nn.Module] = []
    monkeypatch.setattr(torch, "compile", lambda net, mode: asked.append(net) or net if mode == "default" else None)
    plain, _ = _train(run, tmp_path / "plain")
    assert asked == []
    compiled, _ = _train(run, tmp_path / "compiled", compile_net=True)
    assert asked == [compiled]
    assert _same(plain, compiled)


def _train_slowly(run: Run, work: Path) -> None:
    """Train and hang from the fourteenth batch on."""
    torch.set_num_threads(1)

    def slow(step: int) -> tuple[Tensor, Tensor]:
        if step >= 13:
            time.sleep(60)
        return random_batch(step)

    fabric = open_fabric(Machine(device="cpu", precision="32"))
    train(run, network_of(run), slow, fabric, work, checkpoint_seconds=0.0)


def test_a_run_killed_at_once_resumes_from_its_last_checkpoint(run: Run, tmp_path: Path) -> None:
    """A process that dies without a word (kill -9) loses only the steps since its last checkpoint."""
    whole, _ = _train(run, tmp_path / "whole")
    work = tmp_path / "killed"
    work.mkdir()
    process = child(_train_slowly, run, work)
    deadline = time.monotonic() + 60
    while not (work / "checkpoint-00000010.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not killed_after(process, 0)
    resumed, _ = _train(run, work, seed=9)
    assert _same(whole, resumed)


def test_a_damaged_checkpoint_is_said_and_the_one_before_taken(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One flipped byte is noticed by the checksum; the bits at the end are the same."""
    whole, _ = _train(run, tmp_path / "whole")
    work = tmp_path / "work"
    net, _ = _train(run, work, seconds=0.0)
    files = sorted(work.glob("checkpoint-*.pt"))
    assert len(files) == 2
    data = bytearray(files[-1].read_bytes())
    data[len(data) // 2] ^= 1
    files[-1].write_bytes(bytes(data))
    resumed, _ = _train(run, work, seed=3)
    assert "damaged checkpoint" in capsys.readouterr().err
    assert _same(whole, resumed)
    assert _same(net, resumed)


def test_where_every_checkpoint_is_damaged_it_begins_anew_and_keeps_the_new_ones(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both said, the bits those of a first start; the damaged ones, of later steps, do not crowd out the new ones."""
    whole, _ = _train(run, tmp_path / "whole")
    work, net = tmp_path / "work", network_of(run)
    work.mkdir()
    for step in (90, 100):
        checkpoint.save(work, {"model": net}, step, run.key).write_bytes(bytes(100))
    (work / "log.jsonl").write_bytes(b'{"step": 90, "loss": 1.0, "seconds": 9.0}\n{"st\xff\x00"}\n')
    resumed, _ = _train(run, work, seconds=0.0)
    said = capsys.readouterr().err.splitlines()
    assert ["the one before it is taken" in line for line in said] == [True, False]
    assert "begins anew" in said[1]
    assert _same(whole, resumed)
    assert [path.stem for path in sorted(work.glob("*.pt"))] == ["checkpoint-00000020", "checkpoint-00000024"]
    assert _curve(work) == _curve(tmp_path / "whole")


def test_a_checkpoint_that_the_disk_does_not_give_back_is_passed_over(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A read error is said like damage, and the one before is taken."""
    net = network_of(run)
    checkpoint.save(tmp_path, {"model": net}, 5, run.key)
    (tmp_path / "checkpoint-00000009.pt").mkdir()
    assert checkpoint.resume(tmp_path, {"model": net}, run.key) == 5
    assert "cannot be read" in capsys.readouterr().err


def test_a_checkpoint_of_another_run_is_refused(run: Run, tmp_path: Path) -> None:
    """The key in the file must be the run's own."""
    net = network_of(run)
    checkpoint.save(tmp_path, {"model": net}, 5, "other")
    with pytest.raises(CheckpointError, match="belongs to run other"):
        checkpoint.resume(tmp_path, {"model": net}, run.key)


def test_a_layer_that_draws_goes_on_as_if_never_stopped(run: Run, tmp_path: Path) -> None:
    """The states of torch, numpy and Python are in the checkpoint: dropout ends in the same bits after a stop."""

    def network() -> nn.Module:
        return nn.Sequential(network_of(run), nn.Dropout2d(0.3))

    def seeded() -> None:
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002 - the global state is what is tested
        random.seed(1)

    drawn: list[tuple[float, float]] = []

    def drawing(stop_at: int) -> Callable[[int], tuple[Tensor, Tensor]]:
        def batch(step: int) -> tuple[Tensor, Tensor]:
            drawn.append((random.random(), float(np.random.rand())))  # noqa: NPY002, S311 - as above
            if step == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)
            return random_batch(step)

        return batch

    fabric, nets = open_fabric(Machine(device="cpu", precision="32")), []
    for name, stop_at in (("whole", -1), ("stopped", 7)):
        (tmp_path / name).mkdir()
        nets.append(network())
        seeded()
        if stop_at >= 0:
            with pytest.raises(Interrupted):
                train(run, nets[-1], drawing(stop_at), fabric, tmp_path / name)
            nets[-1] = network()  # as a new process: other weights, other random states
        train(run, nets[-1], drawing(-1), fabric, tmp_path / name)
    assert drawn[:STEPS] == drawn[STEPS:]
    assert _same(*nets)


def test_a_checkpoint_of_an_earlier_version_is_taken_up(run: Run, tmp_path: Path) -> None:
    """One without random states: no layer draws, so nothing is lost."""
    net = network_of(run)
    checkpoint.save(tmp_path, {"model": net}, 5, run.key)
    assert checkpoint.resume(tmp_path, {"model": network_of(run, 3), "random": RandomStates()}, run.key) == 5


def test_processes_that_see_other_checkpoints_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines that do not share the folder would train two networks as one."""

    class Several:
        world_size = 2

    def gathers(*steps: int) -> None:
        def fill(found: list[int], _: int) -> None:
            found[:] = steps

        monkeypatch.setattr(torch.distributed, "all_gather_object", fill)

    gathers(10, 10)
    assert _agreed(10, Several(), tmp_path) == 10
    gathers(10, 0)
    with pytest.raises(CheckpointError, match=r"steps \[0, 10\].*share this folder"):
        _agreed(10, Several(), tmp_path)


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(run: Run, tmp_path: Path) -> None:
    """The step and the last finite loss are kept; nothing is averaged over it."""
    wild = replace(run, recipe=replace(run.recipe, optimizer="sgd", lr=1e30, warmup=0.0))
    _, outcome = _train(wild, tmp_path / "wild")
    assert outcome.status == "diverged"
    assert outcome.final_loss is None
    assert outcome.diverged_at is not None
    assert 0 < outcome.diverged_at < STEPS
    assert outcome.last_finite_loss is not None
    last = json.loads((tmp_path / "wild" / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert last["step"] == outcome.diverged_at - 1


def test_a_run_that_diverges_after_a_stop_still_knows_its_last_finite_loss(run: Run, tmp_path: Path) -> None:
    """Stopped between two lines of the log, then a loss that is not finite: step and loss as without the stop."""
    fabric, outcomes = open_fabric(Machine(device="cpu", precision="32")), []

    def batch(stop_at: int) -> Callable[[int], tuple[Tensor, Tensor]]:
        def make(step: int) -> tuple[Tensor, Tensor]:
            if step == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)
            images, labels = random_batch(step)
            return images * (math.nan if step >= 13 else 1.0), labels

        return make

    for name, stop_at in (("whole", -1), ("stopped", 12)):
        work = tmp_path / name
        work.mkdir()
        if stop_at >= 0:
            with pytest.raises(Interrupted):
                train(run, network_of(run), batch(stop_at), fabric, work)
        outcomes.append(train(run, network_of(run), batch(-1), fabric, work))
    assert (outcomes[0].status, outcomes[0].diverged_at) == ("diverged", 14)
    assert [(o.diverged_at, o.last_finite_loss) for o in outcomes] == [(14, outcomes[0].last_finite_loss)] * 2
    assert _curve(tmp_path / "stopped") == _curve(tmp_path / "whole")
