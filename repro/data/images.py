"""Users' own pictures as RGB (any size, grey, 16 bits, alpha, EXIF orientation), and coloured label maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from repro.config.errors import DataError
from repro.data.dataset import Bytes, Colour
from repro.data.io import to_rgb

VOID: Colour = (255, 255, 255)
"""Colour of void pixels in pictures of labels; a palette PNG keeps its own."""


def read_picture(path: Path) -> Bytes:
    """Return a picture as RGB (h, w, 3) uint8, as ``io.read_image``, but in the orientation of its EXIF tag.

    Raises:
        DataError: the file is missing, damaged or no picture; the message names it.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        said = str(error) if isinstance(error, ValueError) else "it is no picture, or damaged"
        reason = getattr(error, "strerror", None) or said
        raise DataError(f"{path}: cannot be read as a picture ({reason}); give a PNG or JPEG file") from error


def coloured(labels: Bytes, palette: tuple[Colour, ...]) -> Bytes:
    """Return labels (h, w) as RGB (h, w, 3), void in white."""
    table = np.full((256, 3), VOID, np.uint8)
    table[: len(palette)] = palette
    return np.asarray(table[labels], np.uint8)


def overlay(image: Bytes, labels: Bytes, palette: tuple[Colour, ...], opacity: float = 0.55) -> Bytes:
    """Blend a picture with the colours of its labels; class 0 is left unblended where its colour is black."""
    colours = coloured(labels, palette).astype(np.float64)
    share = np.full(labels.shape, opacity)
    if palette and palette[0] == (0, 0, 0):
        share[labels == 0] = 0.0
    mixed = image * (1 - share[..., None]) + colours * share[..., None]
    return np.asarray(np.round(mixed), np.uint8)
