"""Valid receptive fields (Figure 3): what a score at one position depends on, measured by occluding the image."""

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
