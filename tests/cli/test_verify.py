"""Tests of `repro verify`: the same bits, close enough, or different, from weights and by training again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from repro.cli import verify
from repro.cli.app import main
from repro.results.records import load
from tests.support import short_runs, simulate


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of one short run's record, with its weights."""
    folder = tmp_path_factory.mktemp("verify")
    place = short_runs.place(folder / "runs", folder / "cache")
    task = short_runs.job(steps=12)
    assert short_runs.execute(task, place).status == "ok"
    return short_runs.record(place, task)


def verified(record: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> dict:  # type: ignore[type-arg]
    """Return the one row that the command prints, and its exit code."""
    runs = record.parent.parent
    monkeypatch.setenv("REPRO_CACHE", str(runs.parent / "cache"))
    monkeypatch.setattr("sys.argv", ["repro", "verify", record.name, "--runs", str(runs), "--json", *words])
    code: int | str | None = 0
    try:
        main()
    except SystemExit as left:
        code = left.code
    [row] = json.loads(capsys.readouterr().out)
    return {**row, "code": code}


def test_the_same_bits(trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """From its weights, and by training again where they are gone, a record comes out the same."""
    row = verified(trained, monkeypatch, capsys)
    assert (row["how"], row["verdict"], row["code"]) == ("evaluated", "same bits", 0)
    weights = trained / "weights.safetensors"
    weights.rename(aside := trained.parent / "aside")
    try:
        row = verified(trained, monkeypatch, capsys)
    finally:
        aside.rename(weights)
    assert (row["how"], row["verdict"], row["code"]) == ("trained", "same bits", 0)


def test_other_counts_differ(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counts that the weights do not give are told, by how much, with exit code 1; within the margin they pass."""
    path = trained / "counts.npz"
    kept, meta = path.read_bytes(), (trained / "record.json").read_text(encoding="utf-8")
    [record] = load({"local": trained.parent}).records
    counts = record.counts()
    counts["classes"][:, :, 0] = 0
    try:
        np.savez_compressed(path, **counts)
        simulate.resealed(trained)
        row = verified(trained, monkeypatch, capsys)
        wide = verified(trained, monkeypatch, capsys, "--within", "100")
    finally:
        path.write_bytes(kept)
        (trained / "record.json").write_text(meta, encoding="utf-8")
    assert (row["verdict"], row["code"]) == ("differs", 1)
    assert row["points"] > 0.1
    assert (wide["verdict"], wide["code"]) == ("within", 0)


def test_nothing_to_verify(trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A word that is neither a table nor a record is one sentence."""
    monkeypatch.setattr("sys.argv", ["repro", "verify", "tablet", "--runs", str(trained.parent.parent)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "neither a table nor key or name of a record" in " ".join(capsys.readouterr().err.split())


def test_changed_weights_differ(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights that are not the record's give other counts."""
    path = trained / "weights.safetensors"
    kept, meta = path.read_bytes(), (trained / "record.json").read_text(encoding="utf-8")
    weights = load_file(path)
    save_file({name: -value if value.ndim > 1 else value for name, value in weights.items()}, path)
    try:
        simulate.resealed(trained)
        row = verified(trained, monkeypatch, capsys, "--within", "0")
    finally:
        path.write_bytes(kept)
        (trained / "record.json").write_text(meta, encoding="utf-8")
    assert row["verdict"] == "differs"


def test_sources_that_the_first_schema_does_not_name_are_no_difference() -> None:
    """A record without identity names the data of its last stage; that of earlier stages is unknown, not changed."""
    made = {"precision": "32-true", "layout": "channels_last", "device_type": "cpu", "threads": 1, "world_size": 1}
    made |= {"compile": False, "numerics": 1}
    now = {"identity": {"sources": {"shapes/fine": "a", "shapes/mix": "b"}, "arithmetic": made, "parent": ""}}
    old = {"data": {"shapes/fine": "a"}, **made}
    assert verify._differences(old, now) == []
    assert verify._differences(old | {"data": {"shapes/fine": "c"}}, now) == ["shapes/fine c there, a here"]
