"""The packages that a training needs and those that only some runs need, found without importing any of them."""

from __future__ import annotations

from importlib.util import find_spec

REQUIRED = {
    "click": "click",
    "cv2": "opencv-python-headless",
    "filelock": "filelock",
    "lightning_fabric": "lightning-fabric",
    "numpy": "numpy",
    "PIL": "pillow",
    "rich": "rich",
    "safetensors": "safetensors",
    "torch": "torch",
}
"""Module and name for pip of each package without which nothing trains."""


def missing() -> tuple[str, ...]:
    """Return the names for pip of the required packages that are not installed here."""
    return tuple(package for module, package in REQUIRED.items() if find_spec(module) is None)


def sentence(names: tuple[str, ...]) -> str:
    """Say which packages are missing and how to get them."""
    verb = "is" if len(names) == 1 else "are"
    return f"{', '.join(names)} {verb} not installed for this Python; pip install {' '.join(names)}"


def has_crf() -> bool:
    """Say whether the dense CRF can run here."""
    return find_spec("pydensecrf") is not None
