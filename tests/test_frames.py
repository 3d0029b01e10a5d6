"""Frames that are used again: padding stays exact, and what is still held is never touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import make_voc, noise, save, save_mask
from hypothesis import given
from hypothesis import strategies as st

from repro.config.dataset_info import IMAGENET_MEAN, IMAGENET_STD
from repro.config.experiment import Source
from repro.data import load
from repro.data.cache import open_store
from repro.data.loader import Batches, Frames, Pool
from repro.data.normalise import normalise

SIDES = st.tuples(st.integers(1, 5), st.integers(1, 6))


@given(st.lists(st.tuples(st.integers(0, 1), SIDES), max_size=12))
def test_padding_is_exact_after_any_images(puts: list[tuple[int, tuple[int, int]]]) -> None:
    """Whatever came before: the image at the upper left, everything else blank."""
    blank = noise(0, 5, 6, 3)
    frames = Frames(2, blank)
    expected = np.stack([blank, blank])
    for turn, (j, size) in enumerate(puts):
        image = noise(turn + 1, *size, 3)
        expected[j] = blank
        expected[j, : size[0], : size[1]] = image
        frames.put(j, image)
    np.testing.assert_array_equal(frames.lend(), expected)


@pytest.mark.parametrize("hold", [lambda x: x, lambda x: x[:1], lambda x: x.permute(1, 0), lambda x: x.numpy()])
def test_what_is_held_is_not_lent_again(hold: Callable[[torch.Tensor], object]) -> None:
    """A tensor, its views and its arrays each hold the frames; when the last is gone the same memory comes back."""
    pool = Pool(3, np.zeros(4))
    held = hold(torch.from_numpy(pool.take()[1]))
    first, second = pool.take()[0], pool.take()[0]
    assert first is second
    assert len(pool._all) == 2
    del held
    assert pool.take()[0] is pool._all[0]


def test_batches_that_are_held_stay_as_they_were(tmp_path: Path) -> None:
    """Every step equals that of fresh batches; normalised images equal ``normalise`` bit by bit."""
    home = make_voc(tmp_path / "data")
    for i, (name, size) in enumerate({"b": (7, 30), "c": (15, 13)}.items()):
        save(noise(i, *size, 3), home / f"JPEGImages/{name}.jpg")
        save_mask(noise(i, *size, top=21), home / f"SegmentationClass/{name}.png")
    store = open_store(load("voc", "trainval", tmp_path / "data"), tmp_path / "cache")

    def fresh() -> Batches:
        return Batches([store], Source("voc", "trainval", 17, 32), 4, seed=0)

    batches = fresh()
    held = [(batches.draw(step), batches.ready(step)) for step in range(3)]
    for step in range(3, 8):  # dropped, so used again
        batches.draw(step), batches.ready(step)
    held += [(batches.draw(step), batches.ready(step)) for step in range(8, 10)]
    for step, (drawn, ready) in zip([0, 1, 2, 8, 9], held, strict=True):
        for one, other in zip((*drawn, *ready), (*fresh().draw(step), *fresh().ready(step)), strict=True):
            assert torch.equal(one, other)
        assert torch.equal(ready[0], normalise(drawn[0], IMAGENET_MEAN, IMAGENET_STD, drawn[2]))
        assert ready[0].is_contiguous(memory_format=torch.channels_last)
