"""`repro data boundary`: the share of boundary pixels in a folder of masks, by a slow count; refused input."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from repro.cli import app as cli
from repro.cli import data
from repro.config.errors import DataError
from tests.support.data_files import save_mask

VOID = 255


def labels(seed: int) -> NDArray[np.uint8]:
    """A few blocks of labels with a void rim between two of them."""
    made = np.kron(np.random.default_rng(seed).integers(0, 3, (4, 5)), np.ones((9, 8))).astype(np.uint8)
    made[:, 8:11] = VOID
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of three masks, one of them void all over."""
    for n in range(2):
        save_mask(labels(n), tmp_path / "masks" / f"m{n}.png")
    save_mask(np.full((9, 9), VOID, np.uint8), tmp_path / "masks" / "empty.png")
    return tmp_path / "masks"


def slow(mask: NDArray[np.uint8], within: int, distance: str) -> tuple[int, int]:
    """Count the pixels of another label's reach one by one, the rim an edge."""
    near = scored = 0
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    for y, x in zip(*np.nonzero(mask != VOID), strict=True):
        dy, dx = np.abs(rows - y), np.abs(columns - x)
        away = np.hypot(dy, dx) if distance == "euclidean" else np.maximum(dy, dx)
        scored += 1
        near += bool((away[mask != mask[y, x]] <= within).any())
    return near, scored


def test_shares_equal_a_slow_count(folder: Path) -> None:
    """Pooled over the set and as the mean of the masks; the filled rim has its edge farther away."""
    out = Console(record=True, file=io.StringIO(), width=200)
    data.show_boundary(out, folder, None, None, 2, as_json=True)
    tree = json.loads(out.export_text())
    assert (tree["masks"], tree["within"]) == (3, 2)
    found = {(share["distance"], share["rim"]): share for share in tree["shares"]}
    for distance in ("euclidean", "chessboard"):
        counts = np.array([slow(labels(n), 2, distance) for n in range(2)])
        near, seen = counts.T
        assert found[distance, "edge"]["pooled"] == pytest.approx(near.sum() / seen.sum())
        assert found[distance, "edge"]["mean"] == pytest.approx((near / seen).mean())
        assert found[distance, "filled"]["pooled"] < found[distance, "edge"]["pooled"]
    assert found["chessboard", "edge"]["pooled"] > found["euclidean", "edge"]["pooled"]


def test_lists_choose_masks(folder: Path, tmp_path: Path) -> None:
    """Those of one list, and all but those of another."""
    (tmp_path / "some.txt").write_text("m1\nempty\n")
    assert sorted(data.masks(folder, tmp_path / "some.txt", None)) == ["empty", "m1"]
    assert sorted(data.masks(folder, None, tmp_path / "some.txt")) == ["m0"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nowhere",), "nowhere cannot be read"),
        ((".",), "holds no mask"),
        (("masks", "--list", "none.txt"), "none.txt cannot be read"),
        (("masks", "--list", "wrong.txt"), "mask of m7 is missing"),
        (("masks", "--within", "0"), "0 is not in the range 1<=x<=100"),
        (("void",), "void all over"),
        (("colours",), "holds colours"),
    ],
)
def test_bad_input_is_one_sentence(
    words: tuple[str, ...],
    says: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What cannot be measured names the thing; no traceback."""
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr("sys.argv", ["repro", "data", "boundary", *words])
    (tmp_path / "wrong.txt").write_text("m7\n")
    save_mask(np.full((9, 9), VOID, np.uint8), tmp_path / "void" / "a.png")
    (tmp_path / "colours").mkdir()
    Image.new("RGB", (5, 5)).save(tmp_path / "colours" / "a.png")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_unreadable_mask_is_named(folder: Path) -> None:
    """A file that was cut short."""
    path = folder / "m0.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"m0\.png cannot be read"):
        data.show_boundary(Console(file=io.StringIO()), folder, None, None, 7, as_json=True)
