"""How weights are moved: the optimiser, its groups of parameters, and the learning rate at a step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from repro.experiment import Recipe

POLY_POWER = 0.9


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the factor on the learning rate at a step, a pure function (a resume needs no state).

    ``poly`` falls as (1 - t)^0.9, ``onecycle`` as a cosine; both rise over the warm-up.
    """
    if recipe.schedule == "fixed":
        return 1.0
    warm = int(recipe.warmup * steps)
    if step < warm:
        share = (step + 1) / (warm + 1)
        return share if recipe.schedule == "poly" else 0.04 + 0.96 * (1 - math.cos(math.pi * share)) / 2
    t = (step - warm) / max(1, steps - warm)
    return float((1 - t) ** POLY_POWER) if recipe.schedule == "poly" else (1 + math.cos(math.pi * t)) / 2


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
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=True)
