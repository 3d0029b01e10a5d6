"""The networks of the paper, built from the nouns of ``repro.spec``."""

from __future__ import annotations

from torch import nn

from repro.models.heads import build_head
from repro.models.network import ClassifierNet, Network
from repro.models.resnet import freeze_bn
from repro.models.weights import WeightsError, check_values, inherit, load_backbone, load_classifier
from repro.spec import Classifier, Model

__all__ = [
    "ClassifierNet",
    "Network",
    "WeightsError",
    "backbone_parameters",
    "build",
    "build_head",
    "check_values",
    "freeze_bn",
    "head_parameters",
    "inherit",
    "load_backbone",
    "load_classifier",
]


def build(model: Model | Classifier, num_classes: int, *, head_std: float = 0.01) -> Network | ClassifierNet:
    """Return the module of a model: images (n, 3, h, w) to logits (n, num_classes[, h, w]).

    Args:
        model: a segmentation network (Figure 2 A) or an image classifier (Table 11).
        num_classes: channels of the logits.
        head_std: standard deviation of the heads' start, 0 by fan-in (``repro.models.heads.init_head``).

    Raises:
        SpecError: the backbone's name is unknown.
    """
    if isinstance(model, Classifier):
        return ClassifierNet(model, num_classes)
    return Network(model, num_classes, head_std)


def backbone_parameters(net: Network | ClassifierNet) -> list[nn.Parameter]:
    """Return the parameters of the backbone, those that published weights start."""
    return list(net.backbone.parameters())


def head_parameters(net: Network | ClassifierNet) -> list[nn.Parameter]:
    """Return all parameters but the backbone's: heads, refinement and deconvolutions, or the classifier's."""
    return [parameter for name, parameter in net.named_parameters() if not name.startswith("backbone.")]
