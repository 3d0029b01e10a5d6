"""CamVid at half size, the part of it held back to choose recipes on, and pictures of native size."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from data_files import make_camvid

from repro.config import dataset_info, profiles
from repro.config.experiment import Start
from repro.data import camvid, load
from repro.paper.schema import Score
from repro.paper.tables import all_tables


def test_every_side_is_halved_and_labels_stay_labels(tmp_path: Path) -> None:
    make_camvid(tmp_path)
    whole, half = load("camvid", "train", tmp_path), load("camvid_half", "train", tmp_path)
    assert half.ids == whole.ids
    for i in range(len(half)):
        (image, labels), (small, few) = whole.read(i), half.read(i)
        assert small.shape == (round(image.shape[0] / 2), round(image.shape[1] / 2), 3)
        assert few.shape == small.shape[:2]
        assert set(np.unique(few)) <= set(np.unique(labels))


def test_the_held_part_is_the_end_of_each_sequence_and_never_fitted() -> None:
    ids = tuple(f"{name}_{i:05d}" for name in ("0001TP", "0006R0") for i in range(10))
    held, fit = camvid.divided(ids, held=True), camvid.divided(ids, held=False)
    assert [ids[i] for i in held] == ["0001TP_00008", "0001TP_00009", "0006R0_00008", "0006R0_00009"]
    assert sorted((*held, *fit)) == list(range(len(ids)))


def test_the_one_stage_of_camvid_fills_the_last_stage_of_table_7_and_no_earlier_one() -> None:
    table = all_tables()[7]
    cells = {row.label: row.cells for row in table.rows}
    for name in ("camvid", "camvid_half"):
        profile = profiles.get(name)
        for label in ("Stage-1(%)", "Stage-2(%)"):
            assert [profile.resolve(c.training) for c in cells[label] if isinstance(c, Score)] == [None] * 3
        for cell in cells["Stage-3(%)"]:
            assert isinstance(cell, Score)
            run = profile.resolve(cell.training)
            assert run is not None
            assert run.start == Start("imagenet")
            # The same training as that of Tables 1 and 5.
            assert run == profile.resolve(replace(cell.training, data="voc_aug", init=None))


def test_a_picture_is_scaled_as_those_of_the_training_were() -> None:
    assert dataset_info.get("camvid_half").reduction == 0.5
    assert dataset_info.get("camvid").reduction == 1
