"""How weights are moved: the optimiser, its groups of parameters, and the learning rate at a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from repro.config.experiment import Recipe

POLY_POWER = 0.9


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the factor on the learning rate at a step, a pure function (a resume needs no state).

    ``poly`` rises over the warm-up and falls as (1 - t)^0.9.
    """
    if recipe.schedule == "fixed":
        return 1.0
    warm = int(recipe.warmup * steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    t = (step - warm) / max(1, steps - warm)
    return float((1 - t) ** POLY_POWER)


def parameter_groups(net: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Group parameters by their rate (backbone or not, bias or weight) and their decay (vectors or not)."""
    backbone = {id(p) for p in getattr(net, "backbone", nn.Module()).parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            scale = recipe.backbone_lr if id(parameter) in backbone else 1.0
            scale *= recipe.bias_lr if name.endswith("bias") else 1.0
            decays = parameter.ndim > 1 or recipe.bias_decay
            groups.setdefault((scale, recipe.weight_decay if decays else 0.0), []).append(parameter)
    return [
        {"params": parameters, "scale": scale, "weight_decay": decay}
        for (scale, decay), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def build_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over the parameters that train; ``fused``: one pass over them, not one a term."""
    groups = parameter_groups(net, recipe)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, betas=(recipe.momentum, 0.999), fused=True)
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, fused=True)


class LearningRates:
    """The learning rate of every group of an optimiser, set before each step.

    Rates are plain numbers, or (``on_device``) one-element tensors that a captured step reads. A GPU's are rounded to
    float32 in either form, so that both give the same bits.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int, device: torch.device) -> None:
        """Take an optimiser of ``build_optimizer`` and the length of its training."""
        self.optimizer, self.recipe, self.steps, self.device = optimizer, recipe, steps, device
        self.single = device.type == "cuda"
        """Whether rates are rounded to float32."""

    def set(self, step: int) -> float:
        """Set every group's rate at a step; return that of the first, unrounded."""
        groups, factor = self.optimizer.param_groups, rate(self.recipe, step, self.steps)
        values = [self.recipe.lr * group["scale"] * factor for group in groups]
        for group, value in zip(groups, values, strict=True):
            used = float(np.float32(value)) if self.single else value
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(used)
            else:
                group["lr"] = used
        return float(values[0])

    def on_device(self) -> None:
        """Keep the rates in tensors on the device and let torch capture the optimiser's step (``capturable``)."""
        for group in self.optimizer.param_groups:
            group["lr"] = torch.tensor(float(group["lr"]), dtype=torch.float32, device=self.device)
            if "capturable" in group:
                group["capturable"] = True

    def on_host(self) -> None:
        """Undo ``on_device``."""
        for group in self.optimizer.param_groups:
            group.update(_plain(group))


class OptimizerState:
    """An optimiser's state for checkpoints, the same whether its step is captured or not, on any device."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        """Keep the optimiser."""
        self.optimizer = optimizer

    def state_dict(self) -> dict[str, Any]:
        """Return the optimiser's state with rates as plain numbers."""
        state = self.optimizer.state_dict()
        return {**state, "param_groups": [_plain(group) for group in state["param_groups"]]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take a state over. A step that was captured before must be captured again: torch exchanges its tensors."""
        self.optimizer.load_state_dict(state)


def _plain(group: dict[str, Any]) -> dict[str, Any]:
    """Return a group of parameters with its rate as a number and without ``capturable``'s effect."""
    plain = {**group, "lr": float(group["lr"])}
    return plain | {"capturable": False} if "capturable" in group else plain
