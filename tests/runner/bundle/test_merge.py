"""Merging returned records: all or nothing, conflicts named, origins kept apart."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.torch import load_file

from repro.cli import bundle, predict
from repro.config.errors import BundleError
from repro.config.identity import suffix
from repro.config.machine import Machine
from repro.results import records
from repro.results.records import Record
from repro.results.scores import Scores
from repro.runner.bundle.merge import merge
from repro.runner.bundle.results import Results, half
from tests.support.bundles import (
    console_to_text,
    edited,
    make_bundle,
    member,
    packed_results,
    tar_of_one,
    write_consistent_record,
)

GPU = {"device": "NVIDIA H100 80GB HBM3"}


def _tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("sums", [True, False])
@pytest.mark.parametrize("into", ["local", "reference"])
def test_records_are_adopted_once(tmp_path: Path, into: str, sums: bool) -> None:
    """A second merge finds them there; every byte of a record stays."""
    folders = [write_consistent_record(tmp_path / "slot", seed) for seed in (0, 1)]
    path = packed_results(tmp_path / "r.tar.gz", *folders, sums=sums)
    first = merge([path], tmp_path / "runs", into)
    assert sorted(p.name for p in first.adopted) == sorted(f.name for f in folders)
    assert _tree(tmp_path / "runs" / into) == _tree(tmp_path / "slot")
    assert bool(first.unsummed) != sums
    second = merge([path], tmp_path / "runs", into)
    assert (second.adopted, len(second.there)) == ([], 2)


def test_other_counts_under_a_name_are_refused_and_nothing_is_merged(tmp_path: Path) -> None:
    """The first record is new and good, the second contradicts: neither is adopted."""
    write_consistent_record(tmp_path / "runs/local", 1)
    before = _tree(tmp_path / "runs")
    path = packed_results(
        tmp_path / "r.tar.gz",
        write_consistent_record(tmp_path / "slot", 0),
        write_consistent_record(tmp_path / "slot", 1, right=3),
    )
    with pytest.raises(BundleError, match=r"-s1: stands here with other counts .* nothing was merged"):
        merge([path], tmp_path / "runs", "local")
    assert _tree(tmp_path / "runs") == before
    assert [p.name for p in (tmp_path / "runs/local").iterdir()] == [next(iter(before)).split("/")[1]]


def test_a_gpu_record_stands_beside_a_cpu_record(tmp_path: Path) -> None:
    """Its difference is reported, tables pool the two as one seed, and a second merge finds it there."""
    old = write_consistent_record(tmp_path / "runs/local", 0)
    path = packed_results(tmp_path / "r.tar.gz", write_consistent_record(tmp_path / "slot", 0, right=6, **GPU))
    done = merge([path], tmp_path / "runs", "local")
    assert done.adopted == [old.with_name(f"{old.name}-cuda")]
    pair = done.comparisons[0]
    assert (pair.devices, pair.metric) == ((GPU["device"], "test device"), "mean IoU")
    assert pair.differences == ("device type cpu there, cuda here",)
    assert 0.5 < pair.mine - pair.theirs < 5
    loaded = records.load({"local": tmp_path / "runs/local"})
    found = Scores(loaded).measure(loaded.records[0].key, "local", "miou")
    assert (found.faults, len(found.samples), len(found.other_arithmetic)) == ((), 1, 1)
    again = merge([path], tmp_path / "runs", "local")
    assert (again.adopted, len(again.there)) == ([], 1)
    other = packed_results(tmp_path / "o.tar.gz", write_consistent_record(tmp_path / "slot2", 0, right=9, **GPU))
    with pytest.raises(BundleError, match="-s0-cuda: stands here with other counts"):
        merge([other], tmp_path / "runs", "local")


def test_a_record_of_other_data_stands_beside(tmp_path: Path) -> None:
    """Another copy of a data set is another outcome: it takes no name that is taken, and is said to be another."""
    old = write_consistent_record(tmp_path / "runs/local", 0)
    data = {"shapes/train": "1" * 64, "shapes/test": "3" * 64}
    path = packed_results(tmp_path / "r.tar.gz", write_consistent_record(tmp_path / "slot", 0, right=2, data=data))
    done = merge([path], tmp_path / "runs", "local")
    assert done.adopted == [old.with_name(f"{old.name}-{suffix(data)}")]
    assert done.comparisons[0].differences == ("shapes/test 22222222 there, 33333333 here",)
    assert merge([path], tmp_path / "runs", "local").there == done.adopted


def test_a_gpu_record_is_compared_with_the_reference(tmp_path: Path) -> None:
    """In another place it has its own name, and the command says how it stands beside the project's."""
    write_consistent_record(tmp_path / "runs/reference", 0)
    mine = write_consistent_record(tmp_path / "slot", 0, right=6, **GPU)
    path = packed_results(tmp_path / "r.tar.gz", mine)
    out, text = console_to_text()
    bundle.merge_bundles(out, [path], tmp_path / "runs", "local")
    assert (tmp_path / "runs/local" / mine.name / "record.json").exists()
    assert "on NVIDIA H100 80GB HBM3" in text.getvalue()
    assert "on test device (reference), +" in text.getvalue()


def test_a_retracted_record_gives_its_name(tmp_path: Path) -> None:
    """As a run would take it."""
    folder = write_consistent_record(tmp_path / "runs/local", 0, right=1)
    (folder / "retracted.json").write_text('{"why": "wrong"}')
    merge(
        [packed_results(tmp_path / "r.tar.gz", write_consistent_record(tmp_path / "slot", 0))],
        tmp_path / "runs",
        "local",
    )
    assert {p.name for p in (tmp_path / "runs/local").iterdir()} == {folder.name, f"{folder.name}-retracted-1"}
    assert not (folder / "retracted.json").exists()


def _with_meta(**changes: Any) -> Callable[[str, bytes], bytes]:
    def change(name: str, data: bytes) -> bytes:
        return json.dumps(json.loads(data) | changes).encode() if name.endswith("record.json") else data

    return change


def _with_counts(edit: Callable[[dict[str, NDArray[Any]]], object]) -> Callable[[str, bytes], bytes]:
    def change(name: str, data: bytes) -> bytes:
        if not name.endswith("counts.npz"):
            return data
        counts: dict[str, NDArray[Any]] = {k: v.astype(np.int64) for k, v in np.load(io.BytesIO(data)).items()}
        edit(counts)
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, **counts)
        return stream.getvalue()

    return change


def _right_by_class(counts: dict[str, NDArray[Any]]) -> None:
    counts["classes"][0, 0, 0] -= 1


def _seen_by_size(counts: dict[str, NDArray[Any]]) -> None:
    counts["size"][2, 4, 1] += 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_with_meta(key="0123456789"), "its key 0123456789 is not that of its spec"),
        (_with_meta(seed=4), "which its folder's name denies"),
        (_with_meta(status="interrupted"), "status 'interrupted' is none that a run ends with"),
        (_with_meta(data={"shapes/test": "2" * 64}), "does not say which shapes/train it comes from"),
        (_with_meta(identity={"sources": {"shapes/train": "5", "shapes/test": "2" * 64}}), "says two things of shapes"),
        (_with_meta(test_images=7), r"counts classes have the shape \(6, 5, 3\), not \(7, 5, 3\)"),
        (_with_meta(classes=[*"abcd"]), r"not \(6, 4, 3\)"),
        (_with_meta(schema=99), "schema 99 is unknown"),
        (_with_counts(lambda c: c.pop("distance")), "counts distance are missing or unknown"),
        (_with_counts(lambda c: c.update(extra=np.zeros(3, np.int64))), "counts extra are missing or unknown"),
        (_with_counts(_right_by_class), "by class and by distance are not of the same pixels"),
        (_with_counts(_seen_by_size), "by class and by size are not of the same pixels"),
        (_with_counts(lambda c: c.update(distance=c["distance"][..., ::-1])), "a part is counted larger"),
        (lambda n, d: d[: len(d) // 2] if n.endswith("counts.npz") else d, "counts cannot be read"),
        (lambda n, d: None if n.endswith("record.json") else d, r"came without its record\.json"),
    ],
)
def test_records_that_cannot_be_trusted(
    tmp_path: Path, change: Callable[[str, bytes], bytes | None], sentence: str
) -> None:
    """Each in one sentence; a good record beside it is not adopted either."""
    path = packed_results(tmp_path / "r.tar.gz", write_consistent_record(tmp_path / "slot", 0), sums=False)
    good = packed_results(tmp_path / "good.tar.gz", write_consistent_record(tmp_path / "slot", 1))
    with pytest.raises(BundleError, match=f"{sentence}.*nothing was merged"):
        merge([good, edited(path, change)], tmp_path / "runs", "local")
    assert list((tmp_path / "runs/local").iterdir()) == []


def test_checksums_and_foreign_files(tmp_path: Path) -> None:
    """A byte that changed on the way is named; so is a file that no record has."""
    path = packed_results(tmp_path / "r.tar.gz", write_consistent_record(tmp_path / "slot", 0))
    edited(path, lambda n, d: d + b"\n" if n.endswith("record.json") else d)
    with pytest.raises(BundleError, match=r"record\.json is not as its checksum says; .* nothing was merged"):
        merge([path], tmp_path / "runs", "local")
    bad = tar_of_one(tmp_path / "bad.tar", member("shapes-gcn-k3/run.sh"), b"echo")
    with pytest.raises(BundleError, match=r"run\.sh is no file of a record"):
        merge([bad], tmp_path / "runs", "local")


def test_a_merge_that_the_disk_ends_takes_all_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second rename fails: the first record is gone again."""
    path = packed_results(tmp_path / "r.tar.gz", *(write_consistent_record(tmp_path / "slot", seed) for seed in (0, 1)))
    real = Path.replace

    def fails(self: Path, target: Path) -> Path:
        if target.name.endswith("-s1"):
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(BundleError, match=r"No space left on device\); nothing was merged"):
        merge([path], tmp_path / "runs", "local")
    assert list((tmp_path / "runs/local").iterdir()) == []


def test_a_bundle_is_nothing_to_merge(camvid: Machine, tmp_path: Path) -> None:
    """The archive that was sent is not the one that came back."""
    with pytest.raises(BundleError, match=r"b\.tar: a bundle to run, not what came back"):
        merge(make_bundle(camvid, tmp_path / "b.tar").archives, tmp_path / "runs", "local")


def test_weights_come_back_as_export_writes_them(tmp_path: Path) -> None:
    """float16 without torch has the bits of float16 by torch."""
    import torch
    from safetensors.torch import save_file

    folder = write_consistent_record(tmp_path / "runs/local", 0)
    torch.manual_seed(0)
    tensors = {"a": torch.randn(50, 40), "n": torch.tensor(7), "large": torch.tensor([1e6, 2.0])}
    save_file(tensors, folder / "weights.safetensors")
    record = records.load({"local": tmp_path / "runs/local"}).records[0]
    (tmp_path / "mine.safetensors").write_bytes(half(folder / "weights.safetensors", record.meta))
    predict.export_weights(console_to_text()[0], record.key, 0, tmp_path / "theirs.safetensors", tmp_path / "runs")
    mine, theirs = load_file(tmp_path / "mine.safetensors"), load_file(tmp_path / "theirs.safetensors")
    assert {name: value.dtype for name, value in mine.items()} == {name: value.dtype for name, value in theirs.items()}
    assert all(torch.equal(mine[name], theirs[name]) for name in tensors)


def test_weights_in_parts_join_beside_their_record(tmp_path: Path) -> None:
    """All parts or none; without their record they are refused."""
    import torch
    from safetensors.torch import save_file

    from repro.runner.bundle.manifest import Manifest

    folder = write_consistent_record(tmp_path / "slot", 0)
    torch.manual_seed(0)
    save_file({"a": torch.randn(1000, 1000)}, folder / "weights.safetensors")
    record = Record(folder, json.loads((folder / "record.json").read_text()), "local")
    parts = Results(tmp_path / "out", Manifest("0" * 12, (), ()), 1_300_000).bring(record)
    assert len(parts) == 2
    assert all(path.stat().st_size <= 1_300_000 for path in parts)
    path = packed_results(tmp_path / "r.tar.gz", folder)
    with pytest.raises(BundleError, match="part 2 of 2 is missing"):
        merge([path, parts[0]], tmp_path / "runs", "local")
    with pytest.raises(BundleError, match="their record is not among these archives"):
        merge(parts, tmp_path / "runs", "local")
    assert list((tmp_path / "runs/local").iterdir()) == []
    merge([path, *parts], tmp_path / "runs", "local")
    joined = tmp_path / "runs/local" / folder.name / "weights.safetensors"
    assert torch.equal(load_file(joined)["a"], load_file(folder / "weights.safetensors")["a"].half())
    shutil.rmtree(tmp_path / "runs")
    merge([path], tmp_path / "runs", "local")
    assert merge([path, *parts], tmp_path / "runs", "local").weights == [joined]
    assert merge([path, *parts], tmp_path / "runs", "local").weights == []
    save_file({"a": torch.ones(3)}, joined)
    with pytest.raises(BundleError, match="other weights stand here"):
        merge([path, *parts], tmp_path / "runs", "local")
