"""The segmentation network (Figure 2 A), and the image classifier that pretrains its backbone (Table 11)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from repro.config.networks import Classifier, Model
from repro.models.architectures import architecture
from repro.models.blocks import BoundaryRefinement, deconv, pad_to_multiple
from repro.models.heads import build_head, head_at, init_head
from repro.models.resnet import ResNet

STAGES = ("res2", "res3", "res4", "res5")


class Network(nn.Module):
    """A backbone, a head on each of its stages, and the score maps summed from coarse to fine (Figure 2 A).

    A deconvolution doubles the coarser of two neighbouring score maps, unless both stages have the same resolution.
    Without ``refine`` there is no boundary refinement (the ablations of section 4.1.1).
    """

    def __init__(self, model: Model, num_classes: int, head_std: float = 0.01) -> None:
        """Build the network; heads are initialised from normal(0, ``head_std``), see ``init_head``."""
        super().__init__()
        self.backbone = ResNet(architecture(model.backbone), model.stride_in, model.branches)
        strides, channels = self.backbone.strides, self.backbone.channels
        self.stride = strides[-1]
        self.head = nn.ModuleDict(
            {name: build_head(head_at(model.head, i + 2), channels[i], num_classes) for i, name in enumerate(STAGES)}
        )
        init_head(self.head, head_std)

        def refine() -> nn.Module:
            return BoundaryRefinement(num_classes) if model.refine else nn.Identity()

        def double() -> nn.Module:
            return deconv(num_classes, model.deconv)

        pairs = dict(zip(STAGES, pairwise(strides), strict=False))
        self.refine_head = nn.ModuleDict({name: refine() for name in STAGES})
        self.up = nn.ModuleDict({name: double() if a != b else nn.Identity() for name, (a, b) in pairs.items()})
        self.refine_sum = nn.ModuleDict({name: refine() for name in pairs})
        doublings = strides[0].bit_length() - 1
        self.tail = nn.Sequential(*(nn.Sequential(double(), refine()) for _ in range(doublings)))

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, 3, h, w) of any size to logits (n, num_classes, h, w).

        The image is padded with zeros to a multiple of the stride and the logits are cropped back.
        """
        height, width = x.shape[-2:]
        maps = self.backbone(pad_to_multiple(x, self.stride))
        logits = self.tail(self.score_map(dict(zip(STAGES, maps, strict=True))))
        return torch.as_tensor(logits)[..., :height, :width]

    def score_map(self, maps: dict[str, Tensor]) -> Tensor:
        """Return the sum of all stages' score maps, (n, num_classes, ...) at the resolution of res-2."""
        scores = {name: self.refine_head[name](self.head[name](features)) for name, features in maps.items()}
        score: Tensor = scores["res5"]
        for name in ("res4", "res3", "res2"):
            score = self.refine_sum[name](scores[name] + self.up[name](score))
        return score


class ClassifierNet(nn.Module):
    """An image classifier (Table 11): backbone, global average pool, linear layer."""

    def __init__(self, model: Classifier, num_classes: int) -> None:
        """Build backbone and linear layer."""
        super().__init__()
        self.backbone = ResNet(architecture(model.backbone), model.stride_in, model.branches)
        self.fc = nn.Linear(self.backbone.channels[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, 3, h, w) to logits (n, num_classes)."""
        res5 = self.backbone(x)[-1]
        return torch.as_tensor(self.fc(res5.mean((2, 3))))


def build(model: Model | Classifier, num_classes: int, *, head_std: float = 0.01) -> Network | ClassifierNet:
    """Return the module of a model: images (n, 3, h, w) to logits (n, num_classes[, h, w]).

    Args:
        model: a segmentation network (Figure 2 A) or an image classifier (Table 11).
        num_classes: channels of the logits.
        head_std: standard deviation of the heads' initialisation, 0 by fan-in (``repro.models.heads.init_head``).

    Raises:
        SpecError: the backbone's name is unknown.
    """
    if isinstance(model, Classifier):
        return ClassifierNet(model, num_classes)
    return Network(model, num_classes, head_std)
