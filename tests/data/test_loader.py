"""Batches: a pure function of the step, against a slow reference; reused frames; exact padding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from repro.config.dataset_info import IMAGENET_MEAN, IMAGENET_STD
from repro.config.errors import DataError
from repro.config.experiment import Source
from repro.data import gpu_loader, load, resize
from repro.data.cache import Store, open_store
from repro.data.gpu_loader import SHARE, Resident, _noise, agrees, fits
from repro.data.loader import Batches, Frames, Pool, eval_images
from repro.data.normalise import normalise
from tests.support.data_files import make_imagenet, make_voc, noise, save, save_mask

FRAME = Source("voc", "trainval", 16, 32)


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three images: 12 x 16, 7 x 30, 16 x 32."""
    folder = tmp_path_factory.mktemp("voc")
    home = make_voc(folder / "data")
    for i, (name, size) in enumerate({"b": (7, 30), "c": (16, 32)}.items()):
        save(noise(i, *size, 3), home / f"JPEGImages/{name}.jpg")
        save_mask(noise(i, *size, top=21), home / f"SegmentationClass/{name}.png")
    return open_store(load("voc", "trainval", folder / "data"), folder / "cache")


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Four images of 256 x 256 and 256 x 341, classes 1 and 2."""
    folder = tmp_path_factory.mktemp("imagenet")
    make_imagenet(folder / "data")
    return open_store(load("imagenet", "val", folder / "data"), folder / "cache")


def variants(store: Store, *, rotate: bool = False) -> dict[bytes, tuple[int, str]]:
    """Return every flip and turn of every image, padded by hand, as bytes of image and labels together."""
    found = {}
    for i in range(len(store)):
        for turns in range(4 if rotate else 1):
            for flip in (False, True):
                image, labels = (np.rot90(x, -turns) for x in (store.image(i), store.labels(i)))
                image, labels = (x[:, ::-1] if flip else x for x in (image, labels))
                full, void = np.zeros((32, 32, 3), np.uint8), np.full((32, 32), 255, np.uint8)
                full[: image.shape[0], : image.shape[1]] = image
                void[: labels.shape[0], : labels.shape[1]] = labels
                found[full.tobytes() + void.tobytes()] = (i, f"{turns}{flip}")
    return found


def padded(images: torch.Tensor, labels: torch.Tensor, sizes: torch.Tensor) -> list[bytes]:
    """Return each image with what the sizes call padding blanked, in a frame of 32 x 32, with its labels."""
    found = []
    for image, label, (h, w) in zip(images.permute(0, 2, 3, 1).numpy(), labels.numpy(), sizes.tolist(), strict=True):
        full, void = np.zeros((32, 32, 3), np.uint8), np.full((32, 32), 255, np.uint8)
        full[:h, :w] = image[:h, :w]
        void[: label.shape[0], : label.shape[1]] = label
        found.append(full.tobytes() + void.tobytes())
    return found


@pytest.mark.parametrize("rotate", [False, True])
def test_each_image_is_a_flip_or_turn_of_a_stored_one(voc: Store, rotate: bool) -> None:
    """Every drawn image is one of the hand-made variants, labels moving with it, and every variant turns up."""
    source = Source("voc", "trainval", 32, 32) if rotate else FRAME
    batches = Batches([voc], source, 6, seed=1, rotate=rotate)
    expected = variants(voc, rotate=rotate)
    seen = Counter(expected[x] for step in range(60) for x in padded(*batches.draw(step)))
    assert set(seen) == set(expected.values())
    assert max(seen.values()) < 4 * min(seen.values())


def test_shapes_types_and_layout(voc: Store) -> None:
    """uint8, channels last, labels uint8."""
    images, labels = Batches([voc], FRAME, 4, seed=0).batch(0)
    assert images.shape == (4, 3, 16, 32)
    assert labels.shape == (4, 16, 32)
    assert images.dtype == labels.dtype == torch.uint8
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_a_batch_depends_on_nothing_but_the_step(voc: Store) -> None:
    """In any order, from any instance: the same bits. Other steps, seeds: others."""
    one, two = (Batches([voc], FRAME, 4, seed=3) for _ in range(2))
    forward = [one.batch(step) for step in range(8)]
    backward = [two.batch(step) for step in reversed(range(8))][::-1]
    for a, b in zip(forward, backward, strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])
    other = Batches([voc], FRAME, 4, seed=4)
    assert any(not torch.equal(other.batch(s)[0], forward[s][0]) for s in range(8))


def philox(counter: int, key: tuple[int, int]) -> list[int]:
    """Philox 4x64-10 [Salmon et al. 2011] in plain integers: four 64-bit words."""
    whole, (k0, k1), c = (1 << 64) - 1, key, [counter, 0, 0, 0]
    for _ in range(10):
        p, q = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [(q >> 64) ^ c[1] ^ k0, q & whole, (p >> 64) ^ c[3] ^ k1, p & whole]
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & whole, (k1 + 0xBB67AE8584CAA73B) & whole
    return c


def test_draws_are_the_same_everywhere(voc: Store) -> None:
    """The order is that of Philox's words: a seed means the same on every machine and version of numpy."""
    batches = Batches([voc], FRAME, 4, seed=9)
    order = [i for epoch in range(4) for i in np.argsort(philox(1, (9, (1 << 61) + epoch))[:3]).tolist()]
    assert [batches.indices(step).tolist() for step in range(3)] == [order[:4], order[4:8], order[8:12]]
    assert order[:3] != order[3:6] or order[3:6] != order[6:9]


def test_every_epoch_is_a_permutation(voc: Store) -> None:
    """Over whole epochs each image is seen equally often, batches running across their borders."""
    batches = Batches([voc], FRAME, 4, seed=5)
    order = np.concatenate([batches.indices(step) for step in range(30)])
    epochs = order.reshape(-1, 3)
    assert (np.sort(epochs, axis=1) == [0, 1, 2]).all()
    assert len({tuple(epoch) for epoch in epochs.tolist()}) > 3


def test_ranks_share_the_global_batch(voc: Store) -> None:
    """Two processes' shares, joined, are one process's batch, bit for bit."""
    whole = Batches([voc], FRAME, 4, seed=2, scale=(0.5, 1.5))
    parts = [Batches([voc], FRAME, 4, seed=2, scale=(0.5, 1.5), rank=rank, world=2) for rank in range(2)]
    for step in range(5):
        for a, b in zip(whole.draw(step), zip(*(part.draw(step) for part in parts), strict=True), strict=True):
            assert torch.equal(a, torch.cat(b))


def test_a_mix_draws_from_all_stores(voc: Store) -> None:
    """Images of every store are numbered one after the other."""
    batches = Batches([voc, voc], FRAME, 6, seed=0, flip=False)
    assert len(batches) == 6
    assert sorted(batches.indices(0).tolist()) == list(range(6))
    expected = variants(voc)
    counted = Counter(expected[x][0] for x in padded(*batches.draw(0)))
    assert counted == {0: 2, 1: 2, 2: 2}


def test_crops_are_windows(voc: Store) -> None:
    """With crop, image and labels are one window of the stored pair, at every place."""
    batches = Batches([voc], Source("voc", "x", 8, 8, crop=True), 3, seed=0, flip=False)
    places = set()
    for step in range(150):
        images, labels, sizes = batches.draw(step)
        for j, i in enumerate(batches.indices(step).tolist()):
            h, w = sizes[j].tolist()
            assert (h, w) == (min(8, voc.sizes[i, 0]), min(8, voc.sizes[i, 1]))
            part = images[j, :, :h, :w].permute(1, 2, 0).numpy()
            image, stored = voc.image(i), voc.labels(i)
            found = [
                (top, left)
                for top in range(image.shape[0] - h + 1)
                for left in range(image.shape[1] - w + 1)
                if np.array_equal(image[top : top + h, left : left + w], part)
            ]
            assert len(found) == 1
            top, left = found[0]
            assert np.array_equal(stored[top : top + h, left : left + w], labels[j, :h, :w].numpy())
            places.add((i, *found[0]))
    assert len(places) > 0.5 * (5 * 9 + 1 * 23 + 9 * 25)
    assert {0, 24} <= {left for i, _, left in places if i == 2}


def test_scaling_keeps_labels_whole(voc: Store) -> None:
    """Scaled labels are labels of the image, never a mixture; what does not fit is a window, the rest padding."""
    batches = Batches([voc], FRAME, 3, seed=0, scale=(0.5, 2.0))
    areas = set()
    for step in range(20):
        _, labels, sizes = batches.draw(step)
        for j, i in enumerate(batches.indices(step).tolist()):
            h, w = sizes[j].tolist()
            assert set(np.unique(labels[j, :h, :w])) <= set(np.unique(voc.labels(i)))
            assert (labels[j, h:] == 255).all()
            assert (labels[j, :, w:] == 255).all()
            areas.add((i, h, w))
    assert len(areas) > 15


def test_ready_pads_with_exact_zeros(voc: Store) -> None:
    """Padding is zero after mean subtraction, wherever the label says padding; the images are the drawn ones."""
    batches = Batches([voc], FRAME, 3, seed=0)
    images, labels = batches.ready(0)
    raw, raw_labels, sizes = batches.draw(0)
    assert torch.equal(labels, raw_labels)
    assert torch.equal(images, normalise(raw, IMAGENET_MEAN, IMAGENET_STD, sizes))
    assert sum(int((~image.any(0)).sum()) for image in images) >= int((16 * 32 - sizes.prod(1)).sum())


@pytest.mark.parametrize("rotate", [False, True])
@pytest.mark.parametrize("crop", [False, True])
@pytest.mark.parametrize("rank", [0, 1])
def test_pixels_held_on_a_device_give_the_same_batches(voc: Store, rotate: bool, crop: bool, rank: int) -> None:
    """Gathered at once, from two stores side by side: padding, windows, turns and mirrors byte for byte."""
    source = Source("voc", "trainval", 14, 20, crop=True) if crop else Source("voc", "trainval", 32, 32)
    batches = Batches([voc, voc], source, 8, seed=3, rotate=rotate, flip_vertical=True, rank=rank, world=2)
    held = Resident(batches, "cpu")
    for step in range(12):
        expected, found = batches.draw(step), held.batch(step)
        sizes = expected[2].tolist()
        assert found[2].tolist() == sizes
        assert torch.equal(found[1], expected[1])
        assert found[0].is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(found[0], expected[0])
        for one, other in zip(held.ready(step), batches.ready(step), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("rotate", [False, True])
@pytest.mark.parametrize("scale", [(0.7, 1.4), (0.2, 1.0), (1.0, 3.0), (0.5, 0.5), (1 / 3, 1 / 3)])
def test_scaling_on_a_device_gives_the_same_batches(voc: Store, scale: tuple[float, float], rotate: bool) -> None:
    """Reduced, enlarged or both in one batch, then turned, cut, mirrored and padded: OpenCV's bytes."""
    mixed = replace(_noise((1, 1), (96, 96), (37, 53), (90, 7), (24, 48)), classes=voc.classes)
    frame = Source("voc", "trainval", 30, 24, crop=True)
    batches = Batches([voc, mixed], frame, 8, seed=5, rotate=rotate, flip_vertical=True, scale=scale)
    held = Resident(batches, "cpu")
    for step in range(12):
        for one, other in zip(held.batch(step), batches.draw(step), strict=True):
            assert torch.equal(one, other)
        for one, other in zip(held.ready(step), batches.ready(step), strict=True):
            assert torch.equal(one, other)


def test_held_classification_batches_are_the_same(imagenet: Store) -> None:
    """Windows of images, scaled or not, and the class of each."""
    for scale in ((1.0, 1.0), (0.8, 1.2)):
        batches = Batches([imagenet], Source("imagenet", "val", 224, 224, crop=True), 4, seed=0, scale=scale)
        for one, other in zip(Resident(batches, "cpu").batch(1), batches.draw(1), strict=True):
            assert torch.equal(one, other)


def test_what_is_held(voc: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A GPU with room for it, which scales as OpenCV does, or it is said; never a CPU, which has the file mapped."""
    batches = Batches([voc], FRAME, 3, seed=0)
    size = voc.pixels.size
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(size / SHARE) + 1, 10**12))
    share = [1.0]
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda _: share[0])
    cuda = torch.device("cuda")
    assert fits(batches, cuda)
    share[0] = 0.99 * size / SHARE / 10**12
    assert not fits(batches, cuda)
    share[0] = 1 / 3
    assert not fits(batches, torch.device("cpu"))
    assert not fits(Batches([voc, voc], FRAME, 3, seed=0), cuda)
    scaled = Batches([voc], FRAME, 3, seed=0, scale=(0.5, 0.9))
    for same in (True, False):
        monkeypatch.setattr(gpu_loader, "agrees", lambda *_, same=same: same)
        assert fits(scaled, cuda) is same
    assert "made on the host" in caplog.text


def test_another_arithmetic_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV's scaling is compared before a device is trusted with it: one weight in 2048 more is told."""
    device = torch.device("cpu")
    agrees.cache_clear()
    assert agrees((0.7, 1.4), device)
    agrees.cache_clear()
    monkeypatch.setattr(resize, "ONE", resize.ONE + 8)
    resize._linear.cache_clear()
    assert not agrees((0.7, 1.4), device)
    resize._linear.cache_clear()
    agrees.cache_clear()


def test_classification_batches(imagenet: Store) -> None:
    """Windows of 224 with the class of their image."""
    batches = Batches([imagenet], Source("imagenet", "val", 224, 224, crop=True), 4, seed=0)
    images, labels = batches.batch(0)
    assert images.shape == (4, 3, 224, 224)
    assert labels.dtype == torch.int64
    assert labels.tolist() == [int(imagenet.labels(i)) for i in batches.indices(0).tolist()]


def test_evaluation_sees_every_image_once(voc: Store, imagenet: Store) -> None:
    """Native size and exact; over processes each image once; classifiers get the centre."""
    everything = list(eval_images(voc))
    assert [i for i, _, _ in everything] == [0, 1, 2]
    assert all(np.array_equal(image, voc.image(i)) for i, image, _ in everything)
    assert all(np.array_equal(labels, voc.labels(i)) for i, _, labels in everything)
    shares = [[i for i, _, _ in eval_images(voc, None, rank, 2)] for rank in range(2)]
    assert shares == [[0, 2], [1]]
    centre = list(eval_images(imagenet, Source("imagenet", "val", 224, 224)))
    assert {image.shape for _, image, _ in centre} == {(224, 224, 3)}
    assert np.array_equal(centre[1][1], imagenet.image(1)[16:240, 16:240])
    assert [label for _, _, label in centre] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("source", "more", "words"),
    [
        (Source("voc", "x", 12, 32), {}, "image c of voc is 16x32 and does not fit the frame 12x32"),
        (Source("voc", "x", 16, 32), {"rotate": True}, "does not fit the frame 16x32"),
        (Source("voc", "x"), {}, "training on voc needs a frame"),
        (FRAME, {"world": 3}, "a batch of 4 does not divide among 3 processes"),
    ],
)
def test_what_does_not_fit_is_refused(voc: Store, source: Source, more: dict[str, int], words: str) -> None:
    """Before anything is trained: nothing is resized or cut silently."""
    with pytest.raises(DataError, match=words):
        Batches([voc], source, 4, seed=0, **more)  # type: ignore[arg-type]


def test_stores_of_other_classes_do_not_mix(voc: Store, imagenet: Store) -> None:
    """One batch has one list of classes."""
    with pytest.raises(DataError, match="same classes and kind"):
        Batches([voc, imagenet], FRAME, 4, seed=0)


def test_a_file_of_the_store_is_not_written(voc: Store) -> None:
    """Augmentation never reaches the mapped pixels."""
    before = Path(voc.folder / "pixels.bin").read_bytes()
    Batches([voc], Source("voc", "x", 32, 32), 6, seed=0, rotate=True).ready(0)
    assert Path(voc.folder / "pixels.bin").read_bytes() == before


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
