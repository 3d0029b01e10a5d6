"""Data, networks and recipes at each scale: paper, camvid, camvid_short, camvid_half, shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from repro.config.errors import SpecError, near
from repro.config.profiles.base import Profile, Role
from repro.config.profiles.camvid import CAMVID, CAMVID_HALF, CAMVID_SHORT
from repro.config.profiles.paper import PAPER
from repro.config.profiles.shapes import SHAPES

__all__ = ["CAMVID", "CAMVID_HALF", "CAMVID_SHORT", "DEFAULT", "PAPER", "PROFILES", "SHAPES", "Profile", "Role", "get"]

PROFILES: Mapping[str, Profile] = {
    profile.name: profile for profile in (SHAPES, CAMVID_HALF, CAMVID_SHORT, CAMVID, PAPER)
}
DEFAULT = next(name for name, profile in PROFILES.items() if profile.default)


def get(name: str, *, steps: int | None = None, recipe: str = "", stride_in: str | None = None) -> Profile:
    """Return a profile by name, changed where asked.

    Args:
        name: one of ``PROFILES``.
        steps: cut every training to this many steps; None: as long as its role says.
        recipe: the recipe of every role that has none of its own; empty string: the profile's first.
        stride_in: the convolution of a bottleneck that carries the stride, ``conv1`` or ``conv2``; None: ``conv1``.

    Raises:
        SpecError: an unknown name, recipe or placing of the stride, with the known ones, or a length below 1.
    """
    if name not in PROFILES:
        raise SpecError(f"profile {name!r} is unknown; choose from {', '.join(PROFILES)}{near(name, PROFILES)}")
    asked = {"steps": steps, "recipe": recipe or None, "stride_in": stride_in}
    changed: dict[str, Any] = {field: value for field, value in asked.items() if value is not None}
    return replace(PROFILES[name], **changed) if changed else PROFILES[name]
