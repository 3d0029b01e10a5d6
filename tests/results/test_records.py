"""Records: appended whole or not at all, read with suspicion, never edited."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from repro.config.errors import RecordError
from repro.config.hashing import key_of_tree
from repro.results import arrays, records
from repro.results.retraction import withdraw

KEY = key_of_tree({})
META = {"key": KEY, "seed": 0, "status": "ok", "spec": {}}
NAME = f"one-{KEY}-s0"
COUNTS = {"classes": np.arange(18, dtype=np.int64).reshape(3, 2, 3)}


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Meta, counts and extra files survive the disk; sums are exact."""
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 10, "loss": 1.5}\n{"step": 20, "lo', encoding="utf-8")
    records.append(tmp_path / "runs", "one", META, COUNTS, [log])
    shelf = records.load({"local": tmp_path / "runs"})
    record = shelf.of(KEY)[0]
    assert {k: record.meta[k] for k in META} == META
    assert (record.counts()["classes"] == COUNTS["classes"]).all()
    assert record.log() == [{"step": 10, "loss": 1.5}]
    assert shelf.passed_over == ()


def test_a_record_is_never_overwritten(tmp_path: Path) -> None:
    """A second record of the same name is refused, the first stays."""
    records.append(tmp_path, "one", META, COUNTS)
    before = (tmp_path / "one" / "record.json").read_bytes()
    with pytest.raises(RecordError, match="never overwritten"):
        records.append(tmp_path, "one", META | {"seed": 1}, COUNTS)
    assert (tmp_path / "one" / "record.json").read_bytes() == before


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    """A record that cannot be filled leaves no folder behind."""
    with pytest.raises(RecordError, match="cannot be written"):
        records.append(tmp_path, "one", META, COUNTS, [tmp_path / "missing.jsonl"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root writes anywhere")
def test_a_read_only_folder_is_one_sentence(tmp_path: Path) -> None:
    """A folder that refuses is named, with the remedy."""
    tmp_path.chmod(0o500)
    with pytest.raises(RecordError, match="another --runs folder"):
        records.append(tmp_path / "runs", "one", META, COUNTS)


def test_nan_is_refused_in_meta(tmp_path: Path) -> None:
    """JSON has no nan: a record that would hold one is a fault, not a file that others cannot read."""
    with pytest.raises(ValueError, match="JSON"):
        records.append(tmp_path, "one", META | {"final_loss": float("nan")}, COUNTS)
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"schema": 1, "key"', "cut short"),
        ('{"schema": 99}', "schema 99"),
        ('{"schema": 1, "key": "a"}', "lacks"),
        ('{"schema": 1, "key": "a", "seed": "one", "status": "ok", "spec": {}}', "wrong kind"),
    ],
)
def test_bad_records_are_said_and_passed_over(tmp_path: Path, text: str, said: str) -> None:
    """A record cut short, of an unknown schema or without its key is named and left in place."""
    records.append(tmp_path, "good", META, COUNTS)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "record.json").write_text(text, encoding="utf-8")
    shelf = records.load({"local": tmp_path})
    assert [record.name for record in shelf.records] == ["good"]
    assert len(shelf.passed_over) == 1
    assert said in shelf.passed_over[0]
    assert "bad/record.json" in shelf.passed_over[0].replace("\\", "/")
    assert (tmp_path / "bad" / "record.json").read_text(encoding="utf-8") == text


def test_damaged_counts_are_an_error_not_a_zero(tmp_path: Path) -> None:
    """Counts cut short raise; they never become an empty score."""
    folder = records.append(tmp_path, "one", META, COUNTS)
    (folder / "counts.npz").write_bytes((folder / "counts.npz").read_bytes()[:40])
    with pytest.raises(RecordError, match="cannot be read"):
        records.load({"local": tmp_path}).records[0].counts()


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_those_that_numpy_reads(tmp_path: Path, order: Literal["C", "F"]) -> None:
    """Every kind, shape and order of array, and one of another format's version; never a pickle."""
    made = {
        "counts": np.arange(24, dtype=np.uint32).reshape((2, 3, 4), order=order),
        "none": np.zeros((0, 5), np.int64),
        "one": np.array(7.5),
        "named": np.array([(1, 2.0)], dtype=[("Größe", "i4"), ("b", "f8")]),
    }
    np.savez_compressed(tmp_path / "a.npz", allow_pickle=False, **made)
    found = arrays.parse((tmp_path / "a.npz").read_bytes())
    assert found.keys() == made.keys()
    for name, array in made.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
    np.savez(tmp_path / "b.npz", bad=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="OBJECT array"):
        arrays.parse((tmp_path / "b.npz").read_bytes())


def test_retracted_records_are_not_read_and_not_deleted(tmp_path: Path) -> None:
    """A retraction is a file beside the record that says why."""
    records.append(tmp_path, "one", META, COUNTS)
    withdraw(records.load({"local": tmp_path}).records[0].folder, "wrong split")
    assert records.load({"local": tmp_path}).records == ()
    assert json.loads((tmp_path / "one" / "retracted.json").read_text(encoding="utf-8")) == {"why": "wrong split"}
    assert (tmp_path / "one" / "record.json").exists()


def test_a_retracted_record_makes_room_for_the_right_one(tmp_path: Path) -> None:
    """Its run has none any more; the new one takes the name, the old one stays beside it and is not read."""
    name, (first, second) = NAME, (META | {"final_loss": loss} for loss in (9.0, 1.0))
    records.append(tmp_path, name, first, COUNTS)
    assert records.stands(tmp_path, name)
    withdraw(records.load({"local": tmp_path}).records[0].folder, "wrong split")
    assert not records.stands(tmp_path, name)
    records.append(tmp_path, name, second, COUNTS)
    assert records.stands(tmp_path, name)
    assert [record.meta["final_loss"] for record in records.load({"local": tmp_path}).records] == [1.0]
    assert json.loads((tmp_path / f"{name}-retracted-1" / "record.json").read_text("utf-8"))["final_loss"] == 9.0


@pytest.mark.parametrize(
    "changes", [{"schema": 2}, {"status": "interrupted"}, {"key": "other"}, {"seed": 1}, {"seed": "x"}]
)
def test_a_record_that_no_table_reads_is_not_taken_for_done(tmp_path: Path, changes: dict[str, object]) -> None:
    """Nor is it run over: the sentence says how to withdraw it."""
    folder = records.append(tmp_path, NAME, META, COUNTS)
    (folder / "record.json").write_text(json.dumps({"schema": 1, **META, **changes}), encoding="utf-8")
    with pytest.raises(RecordError, match=f"repro retract {NAME}"):
        records.stands(tmp_path, NAME)


@pytest.mark.skipif(os.name == "nt", reason="os.fsync of folders")
def test_a_record_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut right after cannot leave a record of empty files: every one was synced before the renaming."""
    synced: set[int] = set()
    fsync, replace = os.fsync, Path.replace

    def noted(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def checked(self: Path, target: Path) -> Path:
        assert {path.stat().st_ino for path in (self, *self.iterdir())} <= synced
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "replace", checked)
    log = tmp_path / "log.jsonl"
    log.write_text("{}", encoding="utf-8")
    records.append(tmp_path / "runs", "one", META, COUNTS, [log])
    assert (tmp_path / "runs").stat().st_ino in synced


def test_folders_merge(tmp_path: Path) -> None:
    """Records of two machines lie side by side, in order of their seeds."""
    for seed in (2, 0, 1):
        records.append(tmp_path, f"run-s{seed}", META | {"seed": seed}, COUNTS)
    assert [record.seed for record in records.load({"local": tmp_path}).of(KEY)] == [0, 1, 2]
