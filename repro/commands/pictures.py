"""Pictures as users have them, read into RGB: any size, grey, 16 bits, with alpha, turned by a camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from repro.data.dataset import Bytes, Colour, DataError

VOID: Colour = (255, 255, 255)
"""Colour of void pixels in pictures of labels; a palette PNG keeps its own."""


def read_picture(path: Path) -> Bytes:
    """Return a picture as RGB (h, w, 3) uint8: alpha is laid over white, 16 bits are scaled to 8.

    Raises:
        DataError: the file is missing, damaged or no picture; the sentence names it.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return _rgb(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "it is no picture, or damaged"
        raise DataError(f"{path}: cannot be read as a picture ({reason}); give a PNG or JPEG file") from error


def _rgb(image: Image.Image) -> Bytes:
    if image.mode.startswith(("I", "F")):
        return _scaled(np.asarray(image, np.float64))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return np.array(image.convert("RGB"), np.uint8)


def _scaled(grey: NDArray[np.float64]) -> Bytes:
    """Return deep grey values (h, w) as RGB; the range is 16 bits, or 8 or 1 where no value needs more."""
    most = grey.max(initial=0.0)
    top = 65535.0 if most > 255 else 255.0 if most > 1 else 1.0  # noqa: PLR2004 - the largest values of a range
    grey = np.clip(np.round(grey * (255.0 / top)), 0, 255)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def coloured(labels: Bytes, palette: tuple[Colour, ...]) -> Bytes:
    """Return labels (h, w) as RGB (h, w, 3), void in white."""
    table = np.full((256, 3), VOID, np.uint8)
    table[: len(palette)] = palette
    return np.asarray(table[labels], np.uint8)


def overlay(image: Bytes, labels: Bytes, palette: tuple[Colour, ...], opacity: float = 0.55) -> Bytes:
    """Return the picture under its labels' colours, class 0 (background) left as it is where it is black."""
    colours = coloured(labels, palette).astype(np.float64)
    share = np.full(labels.shape, opacity)
    if palette and palette[0] == (0, 0, 0):
        share[labels == 0] = 0.0
    mixed = image * (1 - share[..., None]) + colours * share[..., None]
    return np.asarray(np.round(mixed), np.uint8)
