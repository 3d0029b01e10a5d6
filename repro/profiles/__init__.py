"""What "train on VOC" means at each scale: paper, camvid, camvid_short, camvid_half, shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from repro.profiles.camvid import CAMVID, CAMVID_HALF, CAMVID_SHORT
from repro.profiles.paper import PAPER
from repro.profiles.profile import Profile, Role
from repro.profiles.shapes import SHAPES
from repro.spec import SpecError

__all__ = ["CAMVID", "CAMVID_HALF", "CAMVID_SHORT", "PAPER", "PROFILES", "SHAPES", "Profile", "Role", "get"]

PROFILES: Mapping[str, Profile] = {
    profile.name: profile for profile in (SHAPES, CAMVID_HALF, CAMVID_SHORT, CAMVID, PAPER)
}


def get(name: str, *, steps: int = 0, recipe: str = "") -> Profile:
    """Return a profile by name, its trainings cut to ``steps`` or under another recipe where asked.

    Raises:
        SpecError: an unknown name, recipe, or a negative length; the sentence lists the known ones.
    """
    if name not in PROFILES:
        raise SpecError(f"profile {name!r} is unknown; choose from {', '.join(PROFILES)}")
    return replace(PROFILES[name], steps=steps, recipe=recipe) if steps or recipe else PROFILES[name]
