"""Records that were damaged, crafted or built on what is gone: right or one sentence, and never another number."""

from __future__ import annotations

import io
import json
import os
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

from repro import models
from repro.cli import predict, status
from repro.cli.options import Request
from repro.config import profiles
from repro.config.errors import ArrayError, RecordError
from repro.config.experiment import Evaluation, Run, Training, folder_name
from repro.config.hashing import canonical
from repro.config.networks import GCN, Model
from repro.data.shapes import CLASSES
from repro.evaluation import regions, trained_model
from repro.models.weights import network
from repro.report.page import build
from repro.results import arrays, exported, records, scores, sealed
from repro.results.retraction import withdraw
from repro.results.scores import Scores
from repro.runner.plan import plan_runs
from tests.support import ROOT, simulate

OUT = Console(quiet=True)
RUN = next(run for run, _ in simulate.runs(simulate.TABLE, simulate.PROFILE).values())
NAME = folder_name(RUN, 0)
COUNTS = simulate.counts_of(RUN, 0.5, 0)


def meta_of(run: Run = RUN, seed: int = 0, **more: Any) -> dict[str, Any]:
    """Return what a run writes into its record."""
    return {
        "key": run.key, "seed": seed, "status": "ok", "profile": run.profile, "spec": canonical(run), "slug": run.slug,
        "classes": list("abcde"), "test_images": simulate.IMAGES, "steps": run.steps, "seconds": 10.5,
        "final_loss": 0.25, "weights_from": None, **more,
    }  # fmt: skip


def write(root: Path, run: Run = RUN, seed: int = 0, files: tuple[Path, ...] = (), **more: Any) -> Path:
    """Write a record as a run does."""
    return records.append(root, folder_name(run, seed), meta_of(run, seed, **more), COUNTS, files)


def first_schema(folder: Path) -> None:
    """Make a record one of schema 1."""
    tree = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    rest = {name: value for name, value in tree.items() if name not in {"sums", "checksum", "identity"}}
    (folder / "record.json").write_text(json.dumps({**rest, "schema": 1}), encoding="utf-8")


def outcome(root: Path) -> tuple[Any, tuple[str, ...]]:
    """Return what a report would show of the only record: its number, or one sentence."""
    evidence = Scores(records.load({"reference": root}))
    found = evidence.measure(RUN.key, "reference", "miou")
    faults = (*evidence.faults, *found.faults)
    return (found.values, faults)


def flipped(data: bytes, at: range, bits: range = range(8)) -> Iterator[bytes]:
    """Yield a file with each of some bits flipped."""
    for i in at:
        for bit in bits:
            changed = bytearray(data)
            changed[i] ^= 1 << bit
            yield bytes(changed)


def test_every_reference_record_is_sound() -> None:
    """Keys are those of their specs, counts are whole numbers of the right shape, logs can be read."""
    shelf = records.load({"reference": ROOT / "runs" / "reference"})
    assert shelf.passed_over == ()
    assert len(shelf.records) >= 205
    for record in shelf.records:
        assert scores.impossible(record, record.counts()) == ""
        record.log()
    assert scores.SIZES == regions.SIZES


@pytest.mark.parametrize("schema", [1, 2])
def test_a_flipped_bit_of_the_counts_is_said(schema: int, tmp_path: Path) -> None:
    """Any bit of the first bytes and of the archive's directory; with checksums every one is refused."""
    folder = write(tmp_path)
    right, _ = outcome(tmp_path)
    if schema == 1:
        first_schema(folder)
    assert outcome(tmp_path) == (right, ())
    path = folder / "counts.npz"
    whole = path.read_bytes()
    head = flipped(whole, range(200), range(0, 8, 3))
    directory = flipped(whole, range(len(whole) - 220, len(whole)), range(1, 8, 3))
    refused = 0
    for data in (*head, *directory):
        path.write_bytes(data)
        values, faults = outcome(tmp_path)
        if faults:
            assert (values, len(faults)) == ((), 1)
            assert NAME in faults[0]
            assert "\n" not in faults[0]
            refused += 1
        else:
            assert (schema, values) == (1, right)
    assert refused == 420 * 3 if schema == 2 else refused > 300


@pytest.mark.parametrize("schema", [1, 2])
def test_a_flipped_bit_of_the_description_is_said(schema: int, tmp_path: Path) -> None:
    """One bit of every byte of record.json: with a checksum the content is the same, or the record is not used."""
    folder = write(tmp_path)
    if schema == 1:
        first_schema(folder)
    path = folder / "record.json"
    whole = path.read_bytes()
    before = records.load({"reference": tmp_path}).records[0].meta
    rng = random.Random(3)  # noqa: S311 - a choice of bits
    for i in range(len(whole)):
        (data,) = flipped(whole, range(i, i + 1), range((bit := rng.randrange(8)), bit + 1))
        path.write_bytes(data)
        shelf = records.load({"reference": tmp_path})
        assert len(shelf.records) + len(shelf.passed_over) == 1
        if shelf.passed_over:
            assert NAME in shelf.passed_over[0]
            assert "\n" not in shelf.passed_over[0]
        elif schema == 2:
            assert shelf.records[0].meta == before
        else:
            assert (shelf.records[0].key, shelf.records[0].seed) == (RUN.key, 0)
            outcome(tmp_path)


@pytest.mark.parametrize("schema", [1, 2])
def test_no_damaged_record_takes_the_report_down(schema: int, tmp_path: Path) -> None:
    """Bytes of every file overwritten, cut and repeated, at random: a page is made, whatever lies there."""
    run = profiles.get("shapes").resolve(Training(Model(GCN(3))))
    assert run is not None
    log = tmp_path / "log.jsonl"
    log.write_text("".join(f'{{"step": {i}, "loss": 0.5}}\n' for i in range(0, 200, 10)))
    folder = write(tmp_path / "runs", run, files=(log,))
    if schema == 1:
        first_schema(folder)
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    rng = random.Random(7)  # noqa: S311 - a choice of bytes
    for _ in range(40):
        path = rng.choice(sorted(kept))
        data, at = bytearray(kept[path]), rng.randrange(len(kept[path]))
        match rng.randrange(3):
            case 0:
                data[at : at + rng.randrange(1, 9)] = rng.randbytes(4)
            case 1:
                del data[at:]
            case _:
                data[at:at] = data[: rng.randrange(200)]
        path.write_bytes(bytes(data))
        shelf = records.load({"reference": tmp_path / "runs"})
        build(profiles.get("shapes"), shelf, simulate_counts(), [2])
        path.write_bytes(kept[path])


def simulate_counts() -> Any:
    """Return the stored counts of parameters."""
    from repro.results.counts import load_counts

    return load_counts()


def _npz(**made: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **made)
    return buffer.getvalue()


def _encrypted() -> bytes:
    data = bytearray(_npz(**COUNTS))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        data[at + offset] |= 1
    return bytes(data)


def _bomb() -> bytes:
    """Return 80 MB of zeros in 80 kB."""
    return _npz(classes=np.zeros((10_000_000,), np.int64))


def _liar() -> bytes:
    """Return the same, declared as 1000 bytes."""
    data = bytearray(_bomb())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.find(mark)
        data[at + offset : at + offset + 4] = (1000).to_bytes(4, "little")
    return bytes(data)


def _huge_shape() -> bytes:
    """Return a header that declares 10^12 numbers, in the format whose arrays are allocated before they are read."""
    buffer = io.BytesIO()
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000,), }\n"
    with zipfile.ZipFile(buffer, "w") as archive:
        text = b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header
        archive.writestr("classes.npy", text + b"\0" * 64)
    return buffer.getvalue()


def _twice() -> bytes:
    buffer = io.BytesIO()
    inner = io.BytesIO()
    np.save(inner, COUNTS["classes"])
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("classes.npy", inner.getvalue())
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("classes.npy", inner.getvalue())
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (_encrypted, "encrypted"),
        (_bomb, "declares 80,000,128 bytes"),
        (_liar, ""),
        (_huge_shape, "declares 1,000,000,000,000 values"),
        (_twice, "stands twice"),
        (lambda: b"", "File is not a zip file"),
        (lambda: _npz(**COUNTS)[:-30], "not a zip file"),
        (lambda: _npz(**COUNTS) + b"\0" * 10_000_000, "more than the"),
        (lambda: _npz(classes=COUNTS["classes"].astype(float)), "classes holds float64, not whole numbers"),
        (lambda: _npz(**COUNTS, extra=np.zeros(3, np.int64)), "counts 'extra' are unknown"),
        (lambda: _npz(classes=COUNTS["classes"][:, :4]), r"of shape \(40, 4, 3\), not of \(images, 5, 3\)"),
        (lambda: _npz(classes=COUNTS["classes"][0]), r"of shape \(5, 3\), not of"),
        (lambda: _npz(**{**COUNTS, "distance": COUNTS["distance"][:, :41]}), r"not of \(images, 42, 2\)"),
        (lambda: _npz(classes=np.full((40, 5, 3), 2**62)), "larger than any can be"),
        (lambda: _npz(classes=np.full((40, 5, 3), 2**64 - 1, np.uint64)), "negative"),
        (lambda: _npz(classes=COUNTS["classes"][:39]), "counts of 39 images"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("schema", [1, 2])
def test_counts_that_no_evaluation_wrote(made: Callable[[], bytes], says: str, schema: int, tmp_path: Path) -> None:
    """Each is refused in one sentence, before it takes memory; with checksums, as another file."""
    import re

    folder = write(tmp_path)
    if schema == 1:
        first_schema(folder)
    (folder / "counts.npz").write_bytes(made())
    values, faults = outcome(tmp_path)
    assert (values, len(faults)) == ((), 1)
    assert NAME in faults[0]
    assert re.search(says, faults[0]) or (schema == 2 and "checksum differs" in faults[0])


def test_a_liar_takes_no_memory() -> None:
    """An archive that declares less than it holds is unpacked no further than it declares."""
    import tracemalloc

    data = _liar()
    tracemalloc.start()
    with pytest.raises(ArrayError):
        arrays.parse(data)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"schema": 1, "schema": 1}', "'schema' stands twice"),
        ('{"schema": 1, "seconds": NaN}', "NaN is no number"),
        ('{"schema": 1, "seconds": -Infinity}', "-Infinity is no number"),
        ('{"schema": 1, "seconds": 1e999}', "1e999 is too large"),
        ('{"schema": 1, "seconds": %s}' % ("9" * 5000), "5000 digits"),
        ("[" * 100_000 + "]" * 100_000, "nested"),
        ('{"schema": 1, "a": ' + "[" * 60 + "]" * 60 + "}", "nested more than 40"),
        ('{"schema": 1, "slug": "\\ud800"}', "surrogates not allowed"),
        ('{"schema": true, "key": "a"}', "schema True"),
        ('{"schema": 1.0}', "schema 1.0"),
        ("[]", "schema None"),
        ("7", "schema None"),
        (" " * (sealed.MOST + 1), "more than the 1,048,576"),
    ],
)
def test_descriptions_that_no_run_wrote(text: str, says: str, tmp_path: Path) -> None:
    """Each is passed over and named; the record beside it is read."""
    write(tmp_path)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "record.json").write_text(text)
    shelf = records.load({"local": tmp_path})
    assert [record.name for record in shelf.records] == [NAME]
    assert len(shelf.passed_over) == 1
    assert says in shelf.passed_over[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_a_pipe_is_no_record(tmp_path: Path) -> None:
    """It is not waited for."""
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "record.json")
    assert "not a regular file" in records.load({"local": tmp_path}).passed_over[0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"key": "0123456789"}, f"its key 0123456789 is not that of its spec, {RUN.key}"),
        ({"spec": {**canonical(RUN), "steps": 161}}, "is not that of its spec"),
        ({"seed": 1}, "which its folder's name denies"),
        ({"seed": -1}, "seed -1 is below zero"),
        ({"seed": True}, "seed True is of the wrong kind"),
        ({"spec": []}, "spec [] is of the wrong kind"),
        ({"classes": [1, 2]}, "classes are not names"),
        ({"test_images": "40"}, "test_images '40' is of the wrong kind"),
        ({"weights_from": 7}, "weights_from 7 is of the wrong kind"),
    ],
)
def test_descriptions_of_another_run(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    """A key that is not the spec's, a folder of another seed, a field of another kind: named, whatever the schema."""
    for schema in (1, 2):
        folder = tmp_path / str(schema) / NAME
        folder.mkdir(parents=True)
        tree = {"schema": schema, "sums": {}, **meta_of(), **changes}
        (folder / "record.json").write_text(sealed.seal(tree) if schema == 2 else json.dumps(tree))
        shelf = records.load({"local": folder.parent})
        assert shelf.records == ()
        assert says in shelf.passed_over[0]


def test_a_record_without_its_checksums_is_not_used(tmp_path: Path) -> None:
    """Of schema 2; taking them away makes no older record of it."""
    path = write(tmp_path) / "record.json"
    tree = json.loads(path.read_text())
    assert set(tree["sums"]) == {"counts.npz"}
    for name, says in (("sums", "lacks sums"), ("checksum", "lacks its checksum")):
        path.write_text(json.dumps({key: value for key, value in tree.items() if key != name}))
        assert says in records.load({"local": tmp_path}).passed_over[0]
    path.write_text(json.dumps(tree))  # spaces and the order of fields are no content
    assert records.load({"local": tmp_path}).passed_over == ()


def test_a_log_of_another_run_is_not_drawn(tmp_path: Path) -> None:
    """The end of the log is a number of a table."""
    log = tmp_path / "log.jsonl"
    log.write_text("".join(f'{{"step": {i}, "loss": 0.5}}\n' for i in range(0, 200, 10)))
    folder = write(tmp_path / "runs", files=(log,))
    evidence = Scores(records.load({"here": tmp_path / "runs"}))
    assert evidence.measure(RUN.key, "here", "train_loss").values == (50.0,)
    (folder / "log.jsonl").write_text(log.read_text().replace("0.5", "0.4"))
    found = Scores(records.load({"here": tmp_path / "runs"})).measure(RUN.key, "here", "train_loss")
    assert found.values == ()
    assert "checksum differs" in found.faults[0]


SMALL = profiles.get("shapes").resolve(Training(Model(GCN(3))))


@pytest.fixture
def weighted(tmp_path: Path) -> Path:
    """Return a folder of runs with one record and its untrained weights."""
    assert SMALL is not None
    torch.manual_seed(0)
    path = tmp_path / "weights.safetensors"
    save_file(models.build(SMALL.model, len(CLASSES), head_std=0.5).state_dict(), path)
    write(tmp_path / "runs" / "local", SMALL, files=(path,), classes=list(CLASSES))
    return tmp_path / "runs"


@pytest.mark.parametrize("at", [3, 200, -1, -5000])
def test_a_flipped_bit_of_the_weights_is_said(at: int, weighted: Path, tmp_path: Path) -> None:
    """By all that reads them: a network that predicts, a run that starts from them, an export."""
    assert SMALL is not None
    record = trained_model.find(weighted, SMALL.key)
    trained_model.load(record)
    path = record.folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(bytes(data))
    readers: list[Callable[[], object]] = [
        lambda: trained_model.load(record),
        lambda: network(SMALL, 0, len(CLASSES), None, record),
        lambda: predict.export_weights(OUT, SMALL.key, None, tmp_path / "out.safetensors", weighted),
    ]
    for read in readers:
        with pytest.raises(RecordError, match=rf"weights\.safetensors: .*repro retract {record.name}"):
            read()
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("schema", [1, 2])
def test_exported_weights_stand_in_for_their_own(schema: int, weighted: Path, tmp_path: Path) -> None:
    """Half the bytes beside the record are taken; a flipped bit of them, or another record's, is refused."""
    assert SMALL is not None
    record = trained_model.find(weighted, SMALL.key)
    if schema == 1:
        first_schema(record.folder)
        record = trained_model.find(weighted, SMALL.key)
    path, half = record.folder / "weights.safetensors", tmp_path / "half.safetensors"
    predict.export_weights(OUT, SMALL.key, None, half, weighted)
    path.write_bytes(half.read_bytes())
    assert torch.equal(trained_model.load(record).net.state_dict()["tail.0.0.weight"].half(), _first(half))
    predict.export_weights(OUT, SMALL.key, None, tmp_path / "again.safetensors", weighted)
    assert exported.origin(tmp_path / "again.safetensors") == exported.origin(half)
    data = bytearray(half.read_bytes())
    data[-100] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(RecordError, match="not those that were exported"):
        trained_model.load(record)


def _first(path: Path) -> torch.Tensor:
    return load_file(path)["tail.0.0.weight"]


# What builds on what: a first stage, a second one that starts from it, and another protocol of that one's weights.


@pytest.fixture
def chain(tmp_path: Path) -> tuple[Path, list[Run]]:
    """Return a folder of runs with three records that build on one another, and the runs."""
    profile = profiles.get("shapes")
    training = next(
        score.training
        for score in _table(7).scores()
        if (run := profile.resolve(score.training)) and isinstance(run.start, Run)
    )
    second = profile.resolve(training)
    assert second is not None
    assert isinstance(second.start, Run)
    protocol = profile.resolve(training, Evaluation(scales=(0.5, 1.0)))
    assert protocol is not None
    chained = [second.start, second, protocol]
    _write_chain(tmp_path / "local", chained, range(3))
    return tmp_path, chained


def _table(number: int) -> Any:
    from repro.paper.tables import all_tables

    return all_tables()[number]


def _write_chain(root: Path, chained: list[Run], which: range) -> None:
    for i in which:
        name = folder_name(chained[i - 1], 0) if i else None
        before = next((r for r in records.load({"": root}).records if r.name == name), None)
        parent = before.digest if before else ""
        write(root, chained[i], weights_from=name, identity={"parent": parent}, seconds=float(i))


def _names(root: Path) -> set[str]:
    return {record.name for record in records.load({"local": root / "local"}).records}


def _done(root: Path, chained: list[Run]) -> list[bool]:
    cells = {("t", "r", str(i)): run for i, run in enumerate(chained)}
    found = plan_runs("shapes", cells, (0,), records.load({"local": root / "local"}))
    return [folder_name(run, 0) in found.done for run in chained]


@pytest.mark.parametrize("schema", [1, 2])
def test_what_builds_on_a_withdrawn_record_falls_with_it(schema: int, chain: tuple[Path, list[Run]]) -> None:
    """Neither shown nor taken for done, and named; undone, all of it stands again."""
    root, chained = chain
    names = [folder_name(run, 0) for run in chained]
    if schema == 1:
        for name in names:
            first_schema(root / "local" / name)
    assert _done(root, chained) == [True, True, True]
    said = Console(record=True, width=300, file=io.StringIO())
    status.retract_record(said, names[0], "wrong split", root)
    assert [f"falls with it: {name}" in said.export_text(clear=False) for name in names] == [False, True, True]
    assert _names(root) == set()
    assert _done(root, chained) == [False, False, False]
    assert [records.stands(root / "local", name) for name in names] == [False, False, False]
    told = records.load({"local": root / "local"}).passed_over
    assert f"built on {names[0]}, which was withdrawn (wrong split)" in told[0]
    assert f"built on {names[1]}, which is built on {names[0]}, which was withdrawn" in told[1]
    status.restore(OUT, names[0], root)
    assert _done(root, chained) == [True, True, True]


@pytest.mark.parametrize("schema", [1, 2])
def test_what_builds_on_a_replaced_record_is_done_again(schema: int, chain: tuple[Path, list[Run]]) -> None:
    """The new records take the names; those that fell lie beside them, withdrawn, with the reason."""
    root, chained = chain
    names = [folder_name(run, 0) for run in chained]
    if schema == 1:
        for name in names:
            first_schema(root / "local" / name)
    status.retract_record(OUT, names[0], "wrong split", root)
    write(root / "local", chained[0], seconds=77.0)
    assert _names(root) == {names[0]}
    with pytest.raises(RecordError, match="another record has taken its name"):
        status.restore(OUT, names[0], root)
    _write_chain(root / "local", chained, range(1, 3))
    assert _done(root, chained) == [True, True, True]
    shelf = records.load({"local": root / "local"})
    assert shelf.passed_over == ()
    assert {gone.name for gone in shelf.withdrawn} == {f"{name}-retracted-1" for name in names}
    assert "built on" in next(gone.why for gone in shelf.withdrawn if gone.name.startswith(names[2]))


def test_a_parent_that_was_deleted_or_replaced_by_hand(chain: tuple[Path, list[Run]]) -> None:
    """What is merely not here says nothing against a record; another one in its place does."""
    import shutil

    root, chained = chain
    names = [folder_name(run, 0) for run in chained]
    shutil.rmtree(root / "local" / names[0])
    assert _names(root) == set(names[1:])
    write(root / "local", chained[0], seconds=78.0)
    assert _names(root) == {names[0]}
    assert f"built on a record {names[0]} that another one has replaced" in _passed_over(root)[0]


def _passed_over(root: Path) -> tuple[str, ...]:
    return records.load({"local": root / "local"}).passed_over


def test_records_that_build_on_one_another_in_a_ring(tmp_path: Path) -> None:
    """Nobody writes such, and nothing hangs."""
    for one, other in ((0, 1), (1, 0)):
        folder = write(tmp_path, seed=one, weights_from=folder_name(RUN, other))
        first_schema(folder)
    assert len(records.load({"local": tmp_path}).records) == 2
    withdraw(tmp_path / folder_name(RUN, 0), "x")
    assert records.load({"local": tmp_path}).records == ()


def test_a_withdrawal_acts_on_one_place(tmp_path: Path) -> None:
    """On this machine's record; the project's only where that is asked for, and its own descendants alone fall."""
    for place in ("reference", "local"):
        write(tmp_path / place)
    status.retract_record(OUT, NAME, "wrong", tmp_path)
    roots = {place: tmp_path / place for place in ("reference", "local")}
    assert [record.place for record in records.load(roots).records] == ["reference"]
    status.retract_record(OUT, NAME, "wrong", tmp_path)  # the same once more changes nothing
    with pytest.raises(RecordError, match=r"withdrawn before \(wrong\).*--undo"):
        status.retract_record(OUT, NAME, "for another reason", tmp_path)
    with pytest.raises(RecordError, match="nothing of this name was withdrawn among the reference records"):
        status.restore(OUT, NAME, tmp_path, "reference")
    status.retract_record(OUT, NAME, "wrong", tmp_path, "reference")
    assert records.load(roots).records == ()
    for place in ("reference", "local"):
        status.restore(OUT, NAME, tmp_path, place)
    assert len(records.load(roots).records) == 2


def test_the_place_of_a_record_is_said(tmp_path: Path) -> None:
    """Where only the other place has the name, the sentence says how to reach it."""
    write(tmp_path / "reference")
    with pytest.raises(RecordError, match="add --reference"):
        status.retract_record(OUT, NAME, "wrong", tmp_path)
    write(tmp_path / "local", seed=1)
    with pytest.raises(RecordError, match="leave --reference out"):
        status.retract_record(OUT, folder_name(RUN, 1), "wrong", tmp_path, "reference")
    with pytest.raises(RecordError, match="status --records lists them"):
        status.retract_record(OUT, "../local", "wrong", tmp_path)


def test_records_are_listed(tmp_path: Path) -> None:
    """Name, key, seed, status and place of each; a withdrawn one with its reason, as text and as JSON."""
    assert SMALL is not None
    for place, seed in (("reference", 0), ("local", 0), ("local", 1)):
        write(tmp_path / place, SMALL, seed)
    status.retract_record(OUT, folder_name(SMALL, 1), "[b]wrong[/b] split", tmp_path)
    request = Request(("all",), "shapes", 1, None, "", tmp_path)
    said = Console(record=True, width=300, file=io.StringIO())
    status.listing(said, request, as_json=False)
    lines = said.export_text().splitlines()
    assert [line.split()[1:5] for line in lines[1:]] == [
        [SMALL.key, "0", "ok", "local"], [SMALL.key, "0", "ok", "reference"], [SMALL.key, "1", "retracted", "local"]
    ]  # fmt: skip
    assert lines[3].endswith("[b]wrong[/b] split")
    said = Console(record=True, width=300, file=io.StringIO())
    status.listing(said, request, as_json=True)
    tree = json.loads(said.export_text())
    assert [row["seed"] for row in tree["records"]] == [0, 0, 1]
    assert tree["records"][2]["why"] == "[b]wrong[/b] split"
    said = Console(record=True, width=300, file=io.StringIO())
    status.show_status(said, request, as_json=False)
    assert "withdrawn: 1 record (repro status --records names them)" in said.export_text()


def test_a_reason_gives_a_terminal_no_orders(tmp_path: Path) -> None:
    """Escapes and line breaks are kept in the file and not shown; a damaged file still withdraws."""
    folder = write(tmp_path / "local")
    status.retract_record(OUT, NAME, "wrong\n\x1b[2Jsplit", tmp_path)
    status.retract_record(OUT, NAME, "wrong\n\x1b[2Jsplit", tmp_path)
    assert records.load({"local": tmp_path / "local"}).withdrawn[0].why == "wrong  [2Jsplit"
    for text in ("", "[]", "{", "\x00"):
        (folder / "retracted.json").write_text(text)
        shelf = records.load({"local": tmp_path / "local"})
        assert shelf.records == ()
        assert shelf.withdrawn[0].why == "the reason cannot be read"
