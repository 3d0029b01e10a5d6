"""Valid receptive fields (Figure 3): what a score at one position depends on, measured by occluding the image."""

from repro.vrf.fields import VRF, agreement, area, gradient_field, occlusion_map, under_occluders
from repro.vrf.steps import VRFError

__all__ = ["VRF", "VRFError", "agreement", "area", "gradient_field", "occlusion_map", "under_occluders"]
