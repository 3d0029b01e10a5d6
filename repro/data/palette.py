"""Palette PNG files, and the class ids that the colours of a palette mean."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from repro.config import dataset_info
from repro.config.io import atomic_write
from repro.data.dataset import IGNORE_INDEX, Bytes, Colour

VOC_PALETTE = dataset_info.VOC_PALETTE
Used = Mapping[int, Colour | None]
"""Palette entry that a mask uses -> its colour; None where the palette has no such entry."""


@dataclass(frozen=True)
class Coding:
    """How a data set's masks are published: the colour of each stored id, and the ids that are classes or void.

    Tools that write PNG anew number the palette's entries as they please and keep the picture on the screen, so that
    an entry is an id only where its colour is that id's.
    """

    colours: Mapping[int, Colour]
    ids: frozenset[int]

    def keeps(self, used: Used) -> bool:
        """Whether every used entry has the published colour of the id of its number."""
        return all(colour is not None and self.colours.get(entry) == colour for entry, colour in used.items())

    def readings(self, used: Used) -> tuple[Mapping[int, int], ...]:
        """Return the ids that the used entries can stand for: by the classes' colours, and by shades of grey.

        Shades count where each is an id that occurs: a grey mask whose values were packed into a palette. Two entries
        of one colour are one id.
        """
        found = [reading for reading in (self._by_colour(used), self._by_shade(used)) if reading is not None]
        return tuple(found[:1] if len(found) > 1 and found[0] == found[1] else found)

    def _by_colour(self, used: Used) -> Mapping[int, int] | None:
        ids = {colour: entry for entry, colour in reversed(list(self.colours.items())) if entry in self.ids}
        found = {entry: ids.get(colour) if colour else None for entry, colour in used.items()}
        known = {entry: label for entry, label in found.items() if label is not None}
        return known if len(known) == len(found) else None

    def _by_shade(self, used: Used) -> Mapping[int, int] | None:
        shades = {entry: colour[0] for entry, colour in used.items() if colour and len(set(colour)) == 1}
        return shades if len(shades) == len(used) and set(shades.values()) <= self.ids else None

    def fault(self, used: Used) -> str:
        """Say which used entry has a colour of no class."""
        known = {colour for entry, colour in self.colours.items() if entry in self.ids}
        entry, colour = next((e, c) for e, c in used.items() if c not in known)
        if colour is None:
            return f"its palette has no entry {entry}, which its pixels use"
        published = self.colours.get(entry)
        instead = f", where {published} is published" if published else ""
        return f"entry {entry} of its palette is {colour}{instead}, which is the colour of no class"


VOC_CODING = Coding(dict(enumerate(VOC_PALETTE)), frozenset({*range(21), IGNORE_INDEX}))
"""VOC's 21 classes and void, of SBD's masks in that form too."""


def png_bytes(labels: Bytes, palette: tuple[Colour, ...] = ()) -> bytes:
    """Return labels (h, w) uint8 as a PNG file whose pixels are the labels: grey, or with a palette (rest black)."""
    image = Image.fromarray(labels)
    if palette:
        flat = [value for colour in palette for value in colour]
        image.putpalette(flat + [0] * (3 * 256 - len(flat)))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def write_palette_png(labels: Bytes, path: Path, palette: tuple[Colour, ...] = VOC_PALETTE) -> None:
    """Write labels (h, w) uint8 as a palette PNG."""
    atomic_write(path, png_bytes(labels, palette))
