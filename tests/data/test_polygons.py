"""Tests of repro.data.polygons."""

from __future__ import annotations

import numpy as np
import pytest

from repro.data.polygons import ONE, OUTLINES, TURN, fill, place


@pytest.mark.parametrize("name", OUTLINES)
def test_every_outline_has_the_area_asked_for(name: str) -> None:
    """Size never tells the class: at every angle a filled outline has the area side**2, within 5 %."""
    for turn in (0, 77, TURN // 3):
        inside = fill(place(OUTLINES[name], (64 * ONE, 64 * ONE), 50 * ONE, turn), 128)
        assert inside.sum() == pytest.approx(50**2, rel=0.05)


def test_fill_takes_pixels_by_their_centre() -> None:
    """A square from 2 to 5 holds nine pixels, and one that leaves the image is clipped; images may be oblong."""
    corners = np.array([(2, 2), (5, 2), (5, 5), (2, 5)]) * ONE
    inside = fill(corners, 8)
    assert inside.sum() == 9
    assert inside[2:5, 2:5].all()
    assert fill(corners + 4 * ONE, 8).sum() == 4
    assert fill(corners + np.array((4, 0)) * ONE, 8, 12)[2:5, 6:9].all()
    assert fill(corners + np.array((4, 0)) * ONE, 8, 12).sum() == 9
