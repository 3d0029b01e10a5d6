"""Valid receptive fields (Figure 3): the pixels on which a score at one position depends, measured by occlusion."""

from __future__ import annotations

from repro.config.errors import VRFError
from repro.evaluation.receptive_field.occlusion import (
    VRF,
    agreement,
    area,
    gradient_field,
    occlusion_map,
    under_occluders,
)

__all__ = ["VRF", "VRFError", "agreement", "area", "gradient_field", "occlusion_map", "under_occluders"]
