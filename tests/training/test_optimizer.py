"""Tests of repro.training.optimizer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from repro.config.experiment import Recipe, Run
from repro.config.networks import GCN, Model
from repro.training.loss import loss_function
from repro.training.optimizer import build_optimizer, parameter_groups, rate
from tests.support.train import network_of, random_batch


def test_rates_are_pure_functions_of_the_step() -> None:
    """Fixed stays at 1; poly rises, reaches 1 and falls to nearly 0."""
    recipe = Recipe("r", "sgd", 0.1, 4, 0.0, schedule="poly", warmup=0.1)
    poly = [rate(recipe, s, 100) for s in range(100)]
    assert poly[:10] == sorted(poly[:10])
    assert poly[10] == 1.0
    assert poly[10:] == sorted(poly[10:], reverse=True)
    assert poly[-1] < 0.03
    assert poly[55] == pytest.approx(0.5**0.9)
    assert {rate(replace(recipe, schedule="fixed"), s, 100) for s in range(100)} == {1.0}


def test_biases_and_the_backbone_have_rates_of_their_own(run: Run) -> None:
    """The paper's recipe: biases twice as fast and without decay (facts)."""
    net = network_of(replace(run, model=Model(GCN(3), refine=True, backbone="small")))
    recipe = replace(run.recipe, bias_lr=2.0, bias_decay=False, backbone_lr=0.1, weight_decay=5e-4)
    groups = parameter_groups(net, recipe)
    assert {(g["scale"], g["weight_decay"]) for g in groups} == {
        (0.1, 5e-4), (0.1, 0.0), (0.2, 0.0), (1.0, 5e-4), (2.0, 0.0)
    }  # fmt: skip
    counted = sum(p.numel() for g in groups for p in g["params"])
    assert counted == sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert isinstance(build_optimizer(net, replace(recipe, optimizer="sgd")), torch.optim.SGD)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_one_pass_over_the_parameters_is_the_same_step(run: Run, optimizer: str) -> None:
    """The fused optimiser and torch's plain loop agree in float64 after three steps on a network in channels last."""
    recipe = replace(run.recipe, optimizer=optimizer, bias_lr=2.0, bias_decay=False)  # type: ignore[arg-type]
    loss, ends = loss_function(run), []
    for fused in (True, False):
        net = network_of(run).double().to(memory_format=torch.channels_last)
        steps = build_optimizer(net, recipe)
        for group in steps.param_groups:
            group["lr"] *= 1e-2 * group["scale"]
            group["fused"], group["foreach"] = fused, False
        for step in range(3):
            images, labels = random_batch(step)
            steps.zero_grad(set_to_none=True)
            loss(net(images.double()), labels).backward()
            # The fused loop runs over memory, whatever the strides say.
            assert all(p.grad is not None and p.grad.stride() == p.stride() for p in net.parameters())
            steps.step()
        ends.append(dict(net.named_parameters()))
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-9, atol=1e-11)
