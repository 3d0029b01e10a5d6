"""The networks of the paper as torch modules, built from the specifications in ``repro.config.networks``."""

from __future__ import annotations

from repro.config.errors import WeightsError
from repro.models.heads import build_head
from repro.models.network import ClassifierNet, Network, build
from repro.models.norm import freeze_bn
from repro.models.weights import check_values, inherit, load_backbone, load_classifier

__all__ = [
    "ClassifierNet",
    "Network",
    "WeightsError",
    "build",
    "build_head",
    "check_values",
    "freeze_bn",
    "inherit",
    "load_backbone",
    "load_classifier",
]
