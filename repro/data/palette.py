"""The colours of VOC's masks, and palette PNG files that carry them."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from repro.data.dataset import Bytes, Colour

COLOURS = 256


def voc_colour(index: int) -> Colour:
    """Return the colour that VOC's development kit gives a class: its bits dealt to R, G, B, high first."""
    channels = [0, 0, 0]
    for level in range(8):
        for channel in range(3):
            channels[channel] |= (index >> (3 * level + channel) & 1) << (7 - level)
    return channels[0], channels[1], channels[2]


VOC_PALETTE: tuple[Colour, ...] = tuple(voc_colour(index) for index in range(COLOURS))


def png_bytes(labels: Bytes, palette: tuple[Colour, ...] = ()) -> bytes:
    """Return labels (h, w) uint8 as a PNG file whose pixels are the labels: grey, or with a palette (rest black)."""
    image = Image.fromarray(labels)
    if palette:
        flat = [value for colour in palette for value in colour]
        image.putpalette(flat + [0] * (3 * COLOURS - len(flat)))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def write_palette_png(labels: Bytes, path: Path, palette: tuple[Colour, ...] = VOC_PALETTE) -> None:
    """Write labels (h, w) uint8 as a palette PNG."""
    path.write_bytes(png_bytes(labels, palette))


def read_palette(path: Path) -> tuple[Colour, ...] | None:
    """Return the colours of a palette PNG, or None for a file without a palette."""
    with Image.open(path) as image:
        flat = image.getpalette("RGB") if image.mode == "P" else None
    return None if flat is None else tuple(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
