"""Masks that are not what they seem: palettes packed anew, lossy files, colours, deep or few bits."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from repro.cli import data
from repro.config import dataset_info
from repro.config.errors import DataError
from repro.data import load
from repro.data.io import read_ids, read_image
from repro.data.palette import VOC_CODING, VOC_PALETTE
from tests.support.data_files import Bytes, make_camvid, make_voc, noise, save, save_mask

PALETTE = np.array(VOC_PALETTE, np.uint8)


def objects() -> Bytes:
    """Return 40 x 60 labels: background, two objects, each with a rim of void."""
    mask = np.zeros((40, 60), np.uint8)
    for row, label in ((3, 3), (21, 10)):
        mask[row : row + 14, 8:50] = 255
        mask[row + 1 : row + 13, 9:49] = label
    return mask


def paletted(entries: Bytes, palette: np.ndarray[Any, np.dtype[np.uint8]], path: Path) -> Path:
    """Write palette entries (h, w) with their colours."""
    image = Image.fromarray(entries)
    image.putpalette(palette.ravel().tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def packed(mask: Bytes, path: Path, order: Callable[[Any], Any] = lambda used: used) -> Path:
    """Write a mask whose palette holds the used colours alone, in some order."""
    used = order(np.unique(mask))
    table = np.zeros(256, np.uint8)
    table[used] = range(len(used))
    return paletted(table[mask], PALETTE[used], path)


@pytest.mark.parametrize("order", [lambda used: used, lambda used: used[::-1]])
@pytest.mark.parametrize("ending", ["png", "gif", "bmp", "tif"])
def test_a_packed_palette_is_read_by_its_colours(tmp_path: Path, ending: str, order: Callable[[Any], Any]) -> None:
    """Tools number the entries as they please; the picture on the screen is the same, and so are the labels."""
    path = packed(objects(), tmp_path / f"a.{ending}", order)
    with Image.open(path) as image:
        assert set(np.unique(np.asarray(image))) == {0, 1, 2, 3}
    assert np.array_equal(read_ids(path, (VOC_CODING,)), objects())


def test_two_entries_of_one_colour_are_one_class(tmp_path: Path) -> None:
    """Quantisers write them."""
    path = paletted(np.array([[0, 1, 2, 3]], np.uint8), PALETTE[[0, 3, 3, 255]], tmp_path / "a.png")
    assert read_ids(path, (VOC_CODING,)).tolist() == [[0, 3, 3, 255]]


def test_the_whole_data_set_is_read_so(tmp_path: Path) -> None:
    """The loader, and the shares of the boundary region, are those of the published form."""
    home = make_voc(tmp_path)
    (tmp_path / "published").mkdir()
    save(noise(0, 40, 60, 3), home / "JPEGImages/a.jpg")
    packed(objects(), home / "SegmentationClass/a.png")
    assert np.array_equal(load("voc", "train", tmp_path).read(0)[1], objects())
    found = []
    for name, write in (("published", save_mask), ("packed", packed)):
        write(objects(), tmp_path / name / "a.png")
        out = Console(record=True, file=io.StringIO(), width=200)
        data.show_boundary(out, tmp_path / name, None, None, 7, as_json=True)
        found.append(json.loads(out.export_text())["shares"])
    assert found[0] == found[1]
    assert found[0][0]["pooled"] != found[0][1]["pooled"]  # the void rim is seen


@pytest.mark.parametrize("colour", [(0, 127, 0), (1, 2, 3), (128, 64, 128)])
def test_a_colour_of_no_class_is_refused(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    """Entry, colour and the published one are named; the last colour is that of VOC's id 21, which is no class."""
    palette = PALETTE.copy()
    palette[3] = colour
    path = paletted(objects(), palette, tmp_path / "a.png")
    said = rf"a\.png: entry 3 of its palette is \({', '.join(map(str, colour))}\), where \(128, 128, 0\) is published"
    with pytest.raises(DataError, match=said):
        read_ids(path, (VOC_CODING,))


def test_an_entry_that_the_palette_lacks_is_refused(tmp_path: Path) -> None:
    """Void without a colour of its own may be anything."""
    path = paletted(objects(), PALETTE, tmp_path / "a.png")
    content = path.read_bytes()
    at = content.index(b"PLTE") - 4
    short = b"PLTE" + content[at + 8 : at + 8 + 63]
    chunk = struct.pack(">I", 63) + short + struct.pack(">I", zlib.crc32(short))
    path.write_bytes(content[:at] + chunk + content[at + 12 + 768 :])
    with pytest.raises(DataError, match=r"a\.png: its palette has no entry 255, which its pixels use"):
        read_ids(path, (VOC_CODING,))


def test_a_grey_mask_packed_into_a_palette_is_read_by_its_shades(tmp_path: Path) -> None:
    """CamVid's and Cityscapes' masks are grey; tools store few values as a palette of greys."""
    cityscapes = pytest.importorskip("repro.data.cityscapes", exc_type=ImportError)
    for coding, ids in ((cityscapes.CODING, [0, 7, 23, 26]), (VOC_CODING, [0, 3, 10, 255])):
        shades = np.repeat(np.array(ids, np.uint8)[:, None], 3, axis=1)
        path = paletted(np.array([[0, 1, 2, 3]], np.uint8), shades, tmp_path / "a.png")
        assert read_ids(path, (coding,)).tolist() == [ids]


def test_colours_of_camvid_and_cityscapes_are_read(tmp_path: Path) -> None:
    """Their palettes of class colours too; black is void in both."""
    from repro.data import camvid

    cityscapes = pytest.importorskip("repro.data.cityscapes", exc_type=ImportError)
    for coding, colours, ids in (
        (
            camvid.CODING,
            [dataset_info.get("camvid").palette[8], (0, 0, 0), dataset_info.get("camvid").palette[0]],
            [8, 11, 0],
        ),
        (
            cityscapes.CODING,
            [dataset_info.get("cityscapes").palette[0], (0, 0, 0), dataset_info.get("cityscapes").palette[13]],
            [7, 0, 26],
        ),
    ):
        path = paletted(np.array([[0, 1, 2]], np.uint8), np.array(colours, np.uint8), tmp_path / "a.png")
        assert read_ids(path, (coding,)).tolist() == [ids]


def test_black_alone_is_ambiguous_in_camvid(tmp_path: Path) -> None:
    """The shade is sky, the colour is void: refused, as nobody can say."""
    path = make_camvid(tmp_path) / "valannot/val0.png"
    paletted(np.zeros((9, 12), np.uint8), np.zeros((1, 3), np.uint8), path)
    with pytest.raises(DataError, match=r"val0\.png: .*are shades of ids and colours of other classes"):
        load("camvid", "val", tmp_path).read(0)


@pytest.mark.parametrize(("form", "options"), [("JPEG", {}), ("WEBP", {"lossless": True}), ("JPEG2000", {})])
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_lossy_format_is_refused_by_its_content(
    tmp_path: Path, form: str, options: dict[str, Any], name: str
) -> None:
    """Under whatever name."""
    home = make_voc(tmp_path)
    (home / "SegmentationClass/a.png").unlink()
    Image.fromarray(objects() % 21).save(home / "SegmentationClass" / name, form, **options)
    with pytest.raises(DataError, match=rf"mask .*{name} is a {form} file by its content, in which labels"):
        load("voc", "train", tmp_path).read(0)


def test_a_tiff_with_jpeg_inside_is_refused(tmp_path: Path) -> None:
    """TIFF is a box for many formats."""
    Image.fromarray(objects()).save(tmp_path / "a.tif", compression="jpeg")
    with pytest.raises(DataError, match="a TIFF file with jpeg inside"):
        read_ids(tmp_path / "a.tif", (VOC_CODING,))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colours_without_a_palette_are_refused(tmp_path: Path, mode: str) -> None:
    """One sentence, with the remedy."""
    Image.fromarray(PALETTE[objects()]).convert(mode).save(tmp_path / "a.png")
    with pytest.raises(
        DataError, match=rf"holds colours \(mode {mode}\) instead of class ids; use the palette or grey"
    ):
        read_ids(tmp_path / "a.png", (VOC_CODING,))


def test_deep_masks_are_refused(tmp_path: Path) -> None:
    """16 bits hold no class of ours."""
    Image.fromarray(objects().astype(np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="holds values of more than 8 bits"):
        read_ids(tmp_path / "a.png", (VOC_CODING,))


def test_few_bits_of_grey_are_refused_unless_all_are_zero(tmp_path: Path) -> None:
    """White is 1 or 255 there, as one likes."""
    Image.fromarray(objects() == 3).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="fewer than 8 bits"):
        read_ids(tmp_path / "a.png", (VOC_CODING,))
    Image.fromarray(np.zeros((4, 4), np.bool_)).save(tmp_path / "a.png")
    assert not read_ids(tmp_path / "a.png", (VOC_CODING,)).any()


def test_several_pictures_in_a_file_are_refused(tmp_path: Path) -> None:
    """Which one would be the mask?"""
    images = [Image.fromarray(objects()), Image.fromarray(objects() * 0)]
    images[0].save(tmp_path / "a.tif", save_all=True, append_images=images[1:])
    with pytest.raises(DataError, match="holds 2 pictures"):
        read_ids(tmp_path / "a.tif", (VOC_CODING,))


def deep(kind: str, path: Path) -> Path:
    """Write a ramp from black to white in one of the deep forms."""
    ramp = np.linspace(0, 1, 2400).reshape(40, 60)
    scaled = {"16-bit": (ramp * 65535).astype(np.uint16), "float": ramp.astype(np.float32),
              "float of 255": (255 * ramp).astype(np.float32), "32-bit": (ramp * 65535).astype(np.int32)}  # fmt: skip
    Image.fromarray(scaled[kind]).save(path)
    return path


@pytest.mark.parametrize(
    ("kind", "ending"), [("16-bit", "png"), ("16-bit", "tif"), ("float", "tif"), ("float of 255", "tif"),
                         ("32-bit", "tif")]
)  # fmt: skip
def test_deep_pictures_are_scaled_in_data_sets_as_in_predict(tmp_path: Path, kind: str, ending: str) -> None:
    """One reader for both: a ramp has its mean in the middle."""
    from repro.data.images import read_picture

    home = make_voc(tmp_path)
    (home / "JPEGImages/a.jpg").unlink()
    path = deep(kind, home / f"JPEGImages/a.{ending}")
    save_mask(objects(), home / "SegmentationClass/a.png")
    pixels = load("voc", "train", tmp_path).read(0)[0]
    assert pixels.mean() == pytest.approx(127, abs=1)
    assert np.array_equal(pixels, read_picture(path))


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 1e6])
def test_values_that_are_no_shade_are_refused(tmp_path: Path, value: float) -> None:
    """Not clipped: the sentence says which values there are."""
    grey = np.zeros((4, 4), np.float32)
    grey[1, 1] = value
    Image.fromarray(grey).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif cannot be read \(its grey values go from"):
        read_image(tmp_path / "a.tif")


def test_a_camera_that_lay_on_its_side_moves_no_pixel_of_a_data_set(tmp_path: Path) -> None:
    """Masks are drawn on the stored pixels; `repro predict` turns the picture upright."""
    from repro.data.images import read_picture

    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(noise(0, 12, 16, 3)).save(tmp_path / "a.png", exif=exif)
    assert read_image(tmp_path / "a.png").shape == (12, 16, 3)
    assert read_picture(tmp_path / "a.png").shape == (16, 12, 3)
